# SPDX-License-Identifier: Apache-2.0
"""The table of goals from figures that are made up: harness_test.py SOURCE"""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(sys.argv.pop(1), "bench", "harness"))
# pylint: disable=wrong-import-position
import goals
import plan
from figures import Figures
from programs import Unavailable


def measured():
    """Figures of a run in which everything takes 100 us."""
    figures = Figures(plan.entries(True))
    for name, entry in figures.entries.items():
        figures.rounds[name] = [100.0, 100.0, 100.0]
        if entry.scenario:
            figures.details[name] = [{"median": 100.0, "samples": 5}] * 3
    figures.codec = [(150.0, 100.0)] * 3
    return figures


def row(figures, text, goal=""):
    return next(row for row in goals.rows(figures) if row.row == text and goal in row.goal)


class Goals(unittest.TestCase):
    def test_every_row_has_a_verdict(self):
        for each in goals.rows(measured()):
            self.assertTrue(each.verdict.startswith(("pass", "MISS")), each.row)

    def test_nothing_measured_misses_everything(self):
        figures = Figures(plan.entries(True))
        figures.codec = [(150.0, 100.0)]
        for each in goals.rows(figures):
            if not each.row.startswith("codec"):
                self.assertTrue(each.verdict.startswith("MISS: not available"), each.row)

    def test_ratio_is_that_of_neighbours_in_time(self):
        figures = measured()
        figures.rounds["round-trip 16"] = [120.0, 240.0, 12.0]
        figures.rounds["ring codec 16"] = [100.0, 200.0, 10.0]
        each = row(figures, "round trip, 16 ranks")
        self.assertAlmostEqual(each.ratio, 1.2)
        self.assertEqual(each.verdict, "pass")
        figures.rounds["ring codec 16"] = [10.0, 20.0, 1.0]
        self.assertEqual(row(figures, "round trip, 16 ranks").verdict, "MISS")

    def test_ranks_at_the_same_addresses_have_a_row_of_their_own(self):
        figures = measured()
        figures.rounds["round-trip 16"] = [240.0] * 3
        self.assertEqual(row(figures, "round trip, 16 ranks").verdict, "MISS")
        self.assertEqual(row(figures, "round trip, 16 ranks, same addresses").verdict, "pass")
        self.assertFalse([each for each in goals.rows(figures) if each.row.startswith("round trip, 1 rank, same")])

    def test_a_limit_far_off_is_suspicious_and_counts_as_a_miss(self):
        figures = measured()
        figures.rounds["ring rank0 8"] = [7.0] * 3
        figures.rounds["ring codec rank0 8"] = [10.0] * 3
        self.assertEqual(row(figures, "round trip, 8 ranks", "limit").verdict, "pass")
        for off in (3.0, 15.0):
            figures.rounds["ring rank0 8"] = [off] * 3
            self.assertEqual(row(figures, "round trip, 8 ranks", "limit").verdict, "MISS: limit suspicious")

    def test_faster_than_another(self):
        figures = measured()
        figures.rounds["zmq ipc rank0 8"] = [140.0] * 3
        figures.rounds["round-trip 8"] = [10.0] * 3
        self.assertEqual(row(figures, "round trip, 8 ranks", "ZeroMQ").verdict, "pass")
        figures.rounds["round-trip 8"] = [30.0] * 3
        self.assertEqual(row(figures, "round trip, 8 ranks", "ZeroMQ").verdict, "MISS")

    def test_what_is_missing_says_why(self):
        figures = measured()
        figures.rounds["tcp 8"] = []
        figures.missing["tcp 8"] = "only root"
        self.assertEqual(row(figures, "64 B over tcp, 8 ranks, CURVE").verdict, "MISS: not available: only root")

    def test_a_part_of_the_entries_gives_the_whole_table(self):
        figures = Figures([entry for entry in plan.entries(True) if entry.name in ("round-trip 8", "ring codec 8")])
        figures.rounds = {"round-trip 8": [10.0], "ring codec 8": [9.0]}
        figures.codec = [(150.0, 100.0)]
        self.assertEqual(row(figures, "round trip, 8 ranks", "limit").verdict, "pass")
        self.assertEqual(len(goals.rows(figures)), len(goals.rows(measured())))

    def test_regressions_against_a_baseline(self):
        figures = measured()
        table = goals.rows(figures)
        baseline = {goals.key(each): each.ratio for each in table if each.ratio}
        self.assertEqual(goals.regressions(table, baseline), [])
        figures.rounds["events 1"] = [200.0] * 3
        self.assertEqual([each.row for each in goals.regressions(goals.rows(figures), baseline)],
                         ["event, rank to parent and back"])


class Measuring(unittest.TestCase):
    def test_all_in_turn_and_what_fails_is_left_out(self):
        calls = []

        def fails(_):
            calls.append("fails")
            raise Unavailable("no luck")

        def works(_):
            calls.append("works")
            return {"median": 5.0, "samples": 3, "lower_quartile": 4.0, "upper_quartile": 6.0}

        class FakePrograms:
            @staticmethod
            def micro():
                return {"codec/100": 2.0, "msgpack_c/100": 1.0}

        figures = Figures([plan.Entry("a", works, "stop"), plan.Entry("b", fails), plan.Entry("c", works, rounds=1)])
        figures.measure(FakePrograms(), 2)
        self.assertEqual(calls, ["works", "fails", "works", "works"])
        self.assertEqual(figures.missing, {"b": "no luck"})
        self.assertEqual(len(figures.codec), 2)
        only = figures.measurements()
        self.assertEqual(len(only), 1)
        self.assertEqual((only[0]["median"], only[0]["samples"], only[0]["lower_quartile"]), (5.0, 6, 4.0))


if __name__ == "__main__":
    unittest.main()
