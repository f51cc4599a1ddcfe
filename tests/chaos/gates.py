# SPDX-License-Identifier: Apache-2.0
"""The gates of scripts/chaos: what is done, how often, and where."""

import dataclasses
import os

HERE = os.path.dirname(os.path.realpath(__file__))
SUPPORT = os.path.join(HERE, "..", "support")
FORK_LAUNCHER = os.path.join(SUPPORT, "fork_launcher.py") + " {n} {rank_program}"
# Slurm's daemons find no host, not even by number, where loopback addresses are all there is (getaddrinfo(3),
# AI_ADDRCONFIG).
WITH_SLURM = (
    "sh",
    "-c",
    'ip address add 192.0.2.1/32 dev lo && exec "$@"',
    "sh",
    os.path.join(SUPPORT, "slurm", "with_slurm"),
)


@dataclasses.dataclass(frozen=True)
class Gate:
    """One gate: `full` rounds, and how each is run."""

    name: str
    what: str  # what must hold, for people
    full: int  # rounds of --full
    arguments: tuple  # of chaos_round, for each of the forms that the rounds take turns in
    short: int = 0  # rounds of the short form; 0: one of each form
    prefix: tuple = ()  # what the round runs within
    transports: bool = True  # with shared memory and without
    as_user: bool = True  # every other round as an ordinary user
    alone: bool = False  # never beside other rounds
    bounds: tuple = ()  # (figure, most that its median may be); not looked at in the short form
    timeout: int = 60  # seconds for one round, with all its bounds a multiple of what it needs

    def forms(self):
        """The arguments of each form; both transports of one stand beside each other."""
        if not self.transports:
            return self.arguments
        return tuple(form + transport for form in self.arguments for transport in ((), ("--zeromq",)))

    def rounds(self, form):
        """How many rounds the form short, ci or full has."""
        if form == "full":
            return self.full
        if form == "ci":
            return max(len(self.forms()), -(-self.full // 10))
        return self.short or len(self.forms())


def launcher_arguments(launcher):
    """chaos_round's arguments for that launcher."""
    if launcher == "command":
        return ("--launcher", "command", "--command-template", FORK_LAUNCHER)
    return ("--launcher", launcher)


def orphans_under(launcher, name, full, **more):
    """The parent is killed at a random moment under that launcher."""
    return Gate(
        f"orphans-{name}",
        "nothing is left 5 s after the parent was killed",
        full,
        (("--gate", "orphans") + launcher_arguments(launcher),),
        short=1,
        **more,
    )


BOMBS = ("header", "parts", "depth", "truncated", "flipped", "silent")
STRANGERS_ANYWHERE = ("none", "wrong", "plain", "other_run", "own_key", "shim", "earlier", "replayed", "envelope")


def forms(gate, variants, *more):
    """One form per variant."""
    return tuple(("--gate", gate, "--variant", variant) + more for variant in variants)


GATES = (
    Gate("orphans-local", "nothing is left 1 s after the parent was killed", 1000, (("--gate", "orphans"),), short=10),
    Gate(
        "orphans-launched",
        "nothing is left 1 s after the host of a launched program was killed",
        400,
        forms("orphans", ("launched", "launched-files", "launched-task-children", "launched-group-children")),
        short=8,
        transports=False,
    ),
    Gate(
        "launched",
        "a launched program that dies or stops fails its task by name, the next one works, and nothing is left",
        200,
        forms(
            "launched",
            (
                "kill",
                "term",
                "stop",
                "kill-files",
                "kill-task",
                "kill-children",
                "stop-files-children",
                "kill-group",
                "stop-task-children",
                "flood",
            ),
        ),
        transports=False,
        timeout=180,
    ),
    Gate(
        "jobs",
        "after a controller, a site or a part of a job was killed every job ends with a true status, none runs twice, "
        "and all is free again",
        500,
        forms(
            "jobs",
            tuple(
                f"{who}-{event}"
                for event in (
                    "job_submitted",
                    "deploy_job_to_server",
                    "deploy_job_to_client",
                    "job_deployed",
                    "job_started",
                    "job_completed",
                )
                for who in ("controller", "site", "part", "run")
            ),
        ),
        short=6,
        transports=False,
        timeout=180,
    ),
    orphans_under("mpirun", "open-mpi", 50),
    orphans_under("hydra", "mpich", 50),
    orphans_under("srun", "srun", 50, prefix=WITH_SLURM, as_user=False),
    orphans_under("command", "own-sessions", 50),
    orphans_under("torchrun", "torchrun", 10),
    Gate(
        "guardian",
        "no obedient rank is left 2 s after a supervisor was killed",
        100,
        forms("guardian", ("guardian", "guardian_and_parent"))
        + tuple(
            form
            for launcher in ("mpirun", "hydra", "command")
            for form in forms(
                "guardian", ("guardian", "guardian_and_parent", "shim", "launcher"), *launcher_arguments(launcher)
            )
        )
        + forms("guardian", ("guardian", "shim", "launcher"), *launcher_arguments("torchrun")),
        short=6,
    ),
    Gate(
        "guardian-srun",
        "no obedient rank is left 2 s after a supervisor was killed",
        20,
        forms("guardian", ("guardian", "guardian_and_parent", "shim", "launcher"), *launcher_arguments("srun")),
        short=1,
        prefix=WITH_SLURM,
        as_user=False,
    ),
    Gate(
        "contained",
        "in a PID namespace nothing at all is left 2 s after a supervisor was killed; failures name the pid outside",
        100,
        forms("contained", ("guardian", "guardian_and_parent", "init", "rank"))
        + forms("contained", ("guardian", "rank"), *launcher_arguments("mpirun"))
        + forms("contained", ("guardian_and_parent", "init"), *launcher_arguments("hydra"))
        + forms("contained", ("guardian", "rank"), *launcher_arguments("command")),
        short=4,
    ),
    Gate(
        "unkillable",
        "finalise returns in its time and names the rank that cannot be ended",
        100,
        (("--gate", "unkillable"),),
        as_user=False,
    ),
    Gate(
        "callers-threads",
        "ranks outlive the thread that started them",
        100,
        (("--gate", "callers-threads"), ("--gate", "callers-threads") + launcher_arguments("mpirun")),
    ),
    Gate(
        "host-untouched",
        "groups work in any host, and nothing of its process is changed",
        100,
        forms(
            "host-untouched",
            (
                "plain",
                "ignores_sigchld",
                "handles_signals",
                "blocks_signals",
                "waits_for_any",
                "forks",
                "holds_memory",
            ),
        ),
    ),
    Gate(
        "process-1",
        "10 groups a round under a command that is process 1: no zombies",
        100,
        (("--gate", "process-1"),),
        as_user=False,
        transports=False,
    ),
    Gate(
        "stubborn",
        "all are gone within the grace and 0.5 s",
        100,
        forms("stubborn", ("ignore", "stopped", "double_fork", "setsid", "fork_loop")),
    ),
    Gate(
        "interrupts",
        "graceful, forced, immediate, and at most a screen of words",
        60,
        forms("interrupts", ("once", "twice", "thrice"))
        + forms("interrupts", ("once", "twice", "thrice"), *launcher_arguments("mpirun")),
        transports=False,
    ),
    Gate(
        "slow-reader",
        "supervision and ending on time, output in the files complete",
        30,
        forms("slow-reader", ("stuck", "no_line_break", "held_open")),
        timeout=300,
        transports=False,
    ),
    Gate("concurrent", "50 groups at once have no address in common, and all work", 10, (("--gate", "concurrent"),)),
    Gate(
        "exhaustion",
        "a typed error, and the host lives on",
        100,
        forms("exhaustion", ("descriptors", "memory", "processes")),
        alone=True,  # another process of the same user may take the last thread between a check and its use
    ),
    Gate("exhaustion-disk", "a typed error, and the host lives on", 30, forms("exhaustion", ("disk",)), as_user=False),
    Gate(
        "soak",
        "200,000 tasks and 300 groups: descriptors, threads and memory stay flat",
        1,
        (("--gate", "soak"),),
        as_user=False,
        alone=True,
        timeout=3000,
    ),
    Gate(
        "death",
        "the failure names the rank and how it ended",
        1000,
        (("--gate", "death"),),
        short=20,
    ),
    Gate(
        "death-busy",
        "the same with four busy ranks a core",
        100,
        (("--gate", "death", "--variant", "busy"),),
        short=1,
        alone=True,
    ),
    Gate(
        "strangers",
        "rejected in the handshake, counted; the group works on",
        100,
        forms("strangers", STRANGERS_ANYWHERE + ("other_rank", "replayed_bytes", "run_directory"))
        + forms("strangers", STRANGERS_ANYWHERE + ("replayed_bytes",), *launcher_arguments("command")),
    ),
    Gate(
        "strangers-other-user",
        "kept out of the run directory, and turned away where it is open",
        20,
        forms("strangers", ("other_user",)) + forms("strangers", ("other_user",), *launcher_arguments("command")),
        short=1,
        as_user=False,
    ),
    Gate(
        "bombs",
        "strangers' are rejected, memory grows by less than 16 MiB, tasks go on; a rank's fail its call",
        100,
        forms("bombs", BOMBS) + forms("bombs", BOMBS, *launcher_arguments("command")),
        short=3,
        alone=True,
        bounds=(("p99_during_to_before_x", 3.0),),
    ),
    Gate(
        "bombs-rank",
        "bad bodies fail their call, the next one works",
        100,
        forms("bombs", ("rank", "rank_header")),
        transports=False,
    ),
    Gate(
        "late-and-stale",
        "dropped and counted; the group works on",
        100,
        (("--gate", "late-and-stale"),),
        short=3,
        transports=False,
    ),
    Gate(
        "first-cause",
        "the rank that died is named, not those that threw in the collective because of it",
        200,
        forms("collective", ("kill", "segv", "abort", "exit3")),
    ),
    Gate(
        "rank-exception",
        "the rank that threw is named with its message, within 40 ms and the grace",
        200,
        forms("collective", ("throw", "throw_unwound")),
        short=4,
        bounds=(("named_ms", 340.0),),
    ),
    Gate(
        "hang",
        "the deadline error names the ranks that hang, and where each one stands",
        100,
        forms("hang", ("pause", "spin", "lock", "stopped")),
    ),
    Gate(
        "shared-memory",
        "what a rank does to the memory that it shares harms its own group at most",
        280,
        forms(
            "shared-memory",
            ("scribble", "seals", "mute", *(f"{way}{step}" for way in ("die", "die_event") for step in range(6))),
        ),
        transports=False,
    ),
    Gate(
        "exchange",
        "10,000 tasks a round: each result is delivered once or its task fails, while agent and exchanger are killed and cut off",
        5,
        forms("exchange", ("agent", "exchanger", "both", "cuts", "all")),
        as_user=False,  # who cuts the network needs root
        transports=False,
        timeout=1200,
    ),
    Gate(
        "secrets",
        "in no command line, log, core, and in no environment but a launcher's that has to pass it on",
        100,
        (
            ("--gate", "secrets"),
            ("--gate", "secrets") + launcher_arguments("command"),
            ("--gate", "secrets") + launcher_arguments("mpirun"),
        ),
    ),
    Gate(
        "secrets-torchrun",
        "the same where a file brings the secret",
        10,
        (("--gate", "secrets") + launcher_arguments("torchrun"),),
    ),
)
