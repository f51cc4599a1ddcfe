// SPDX-License-Identifier: Apache-2.0
// A real MPI program: every rank says where it stands in its MPI world and in its environment, and the
// world adds its ranks up, which needs every one of them. With an argument, rank 1 aborts with that code.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = -1;
    int size = -1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (argc > 1 && rank == 1) MPI_Abort(MPI_COMM_WORLD, atoi(argv[1]));
    int sum = 0;
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    const char* variable = getenv("RANK");
    const char* world = getenv("WORLD_SIZE");
    printf("mpi rank %d of %d, RANK %s of %s, sum %d\n", rank, size, variable ? variable : "none", world ? world : "none",
           sum);
    fflush(stdout);
    MPI_Finalize();
    return 0;
}
