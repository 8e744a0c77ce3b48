"""One poll for outcomes: what was unfinished and is not any more, what is new, and what came and went in between."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice

from airflow_obs.collectors import run_outcomes, task_outcomes
from airflow_obs.collectors.outcome_state import Counted, Happened, Known, OpenRun, Outcome, Retried, Since
from airflow_obs.collectors.run_outcomes import Run, RunKey, batched
from airflow_obs.collectors.task_outcomes import UNMAPPED, Archived, Instance, TaskKey
from airflow_obs.sources.database import Session

LATE = 200
"""Ids below the greatest that are looked at again: ids are given out when a run is written, and seen when it is committed."""
CREATED = 2_000
"""New runs taken in one poll; after an outage of the database several polls catch up."""
RUNS_FOLLOWED = 50_000
"""Unfinished dag runs followed at most, of 400 bytes each, and read in about a second; without room a queued one waits."""
RUNS_READ = 1_000
"""Runs whose task instances are read in one poll, and as many rows as ROWS_READ, or those of one batch if they are more."""
ROWS_READ = 50_000
RUNS_AT_ONCE = 50
SKEW = timedelta(seconds=30)
"""How much a clock that writes moments may be behind ours. What it is ahead is made up for by remembering what was counted."""
BEAT = timedelta(minutes=5)
"""A running task gives a sign of life more often than this, or Airflow fails it."""
BEATS_READ = timedelta(hours=1)
"""How far back heartbeats are read at most, as after an outage: what they tell beside what the runs tell is little."""


def learn(db: Session, limit: int) -> tuple[Known, Happened, dict[TaskKey, Outcome]]:
    """What is there now, so that only what follows is counted; nothing has happened, and what has just ended is known."""
    newest = run_outcomes.newest_id(db)
    seen = {run.id: run.key for run in run_outcomes.created(db, newest - LATE, 2 * LATE)}
    runs = run_outcomes.unfinished(db, RUNS_FOLLOWED)
    open_runs = {run.id: OpenRun(run.key, run.state, fresh=False) for run in runs}
    instances = task_outcomes.unfinished(db, (), limit + 1)
    aside: dict[RunKey, Since] = {}
    if len(instances) > limit:
        aside = _ended_by_now(db, too_many(db, limit, ()))
        instances = task_outcomes.unfinished(db, aside, limit)
    uncounted = task_outcomes.uncounted_states(db.schema)
    tasks = {one.key: one.ended_tries(uncounted) for one in instances}
    counted = {one.key: outcome(one) for one in task_outcomes.finished_beating(db, db.now - BEAT, db.now)}
    known = Known(db.now, db.now, max([newest, *seen]), seen, open_runs, tasks, aside, {}, {})
    happened = Happened(queues={one.queue for one in instances}, run_types={run.run_type for run in runs})
    happened.set_aside = len(aside)
    return known, happened, counted


def _ended_by_now(db: Session, runs: Iterable[RunKey]) -> dict[RunKey, Since]:
    """Set aside so that neither what has just ended counts, nor what will end by a clock behind ours is missed."""
    counted: dict[RunKey, dict[TaskKey, Outcome]] = {run: {} for run in runs}
    for one in task_outcomes.finished_of(db, counted, db.now - SKEW):
        counted[one.key.run][one.key] = outcome(one)
    return {run: Since(db.now - SKEW, those) for run, those in counted.items()}


def outcome(instance: Instance) -> Outcome:
    """What tells one outcome of a task instance from the next."""
    return Outcome(instance.end, instance.try_number)


def too_many(db: Session, limit: int, followed: Iterable[RunKey]) -> list[RunKey]:
    """The runs to set aside so that at most `limit` instances are followed: new ones first, the largest first."""
    before = set(followed)
    room, aside = limit, []
    for run, size in sorted(task_outcomes.sizes(db).items(), key=lambda item: (item[0] not in before, item[1])):
        if size <= room:
            room -= size
        else:
            aside.append(run)
    return aside


class Poll:
    """Reads what changed since `before`. Nothing outside is touched: when it raises, the next poll starts from `before` again.

    Its steps follow one another in time and each sees what is committed by then; whatever two of them see is counted once.
    """

    def __init__(self, db: Session, before: Known, tasks: Counted[TaskKey], runs: Counted[int], limit: int) -> None:
        self._db = db
        self._before = before
        self._limit = limit
        self._counted, self._counted_runs = tasks, runs
        self.outcomes: dict[TaskKey, Outcome] = {}
        """What to remember as counted."""
        self.run_outcomes: dict[int, Outcome] = {}
        self.happened = Happened()
        self._runs: dict[int, OpenRun] = {}
        self._aside = dict(before.aside)
        self._pending = dict(before.pending)
        self._tasks: dict[TaskKey, int] = {}
        self._tried: list[tuple[Instance, int, bool]] = []
        """(instance, tries that had ended before, whether that is known: else the archive must date those that are news)."""
        self._tries = dict(before.tries)
        # Our clock may have been ahead before, and have been set right since.
        self._began = min(before.began, db.now)
        self._news_from = max(self._began, min(before.moment, db.now) - SKEW)
        self._news = Since(self._news_from)

    def run(self) -> Known:
        """Read everything; what is known now."""
        created = run_outcomes.created(self._db, self._before.newest - LATE, LATE + CREATED)
        newest, seen = self._read_runs(created)
        self._read_unfinished()
        self._read_pending()
        self._read_beating()
        self._read_tries()
        tries = {each: end for each, end in self._tries.items() if self._recent(end)}
        tries = dict(islice(tries.items(), max(len(tries) - self._limit, 0), None))
        return Known(
            self._began, self._db.now, newest, seen, self._runs, self._tasks, self._aside, self._pending, tries
        )

    # -- dag runs ------------------------------------------------------------------------------------------------------

    def _read_runs(self, created: Iterable[Run]) -> tuple[int, dict[int, RunKey]]:
        known = self._before
        new = {run.id: run for run in created if known.seen.get(run.id) != run.key}
        newest = max([known.newest, *new])
        unfinished = {run.id: run for run in run_outcomes.unfinished(self._db, RUNS_FOLLOWED + 1)}
        # Where there are more than we read, those not read are not gone.
        gone = [number for number in known.runs if number not in unfinished]
        gone += [number for number, run in new.items() if run.unfinished and number not in unfinished]
        found = run_outcomes.by_id(self._db, gone)
        for number in gone:
            if number in found:
                self._see(found[number], known.runs.get(number) or _created(found[number]))
            else:
                self.happened.deleted_runs += 1
        for number, run in new.items():
            if number in unfinished:
                self._see(unfinished[number], _created(run))
            elif not run.unfinished:
                self._see(run, _created(run))
        for number, run in unfinished.items():
            # Those above `newest` came after we looked for new ones, and will be new the next time.
            if number not in new and number <= newest:
                self._see(run, known.runs.get(number) or OpenRun(run.key, None, fresh=False))
        seen = {**known.seen, **{number: run.key for number, run in new.items()}}
        return newest, {number: key for number, key in seen.items() if number > newest - LATE}

    def _see(self, run: Run, before: OpenRun) -> None:
        self.happened.run_types.add(run.run_type)
        started = run.state != "queued" and before.state in {None, "queued"}
        if started and before.fresh:
            self.happened.starts.append(run)
        if (started and run.key not in self._aside) or not run.unfinished:
            self._pending.setdefault(run.key, Since() if before.fresh else self._news)
        if not run.unfinished:
            if self._counted_runs.get(run.id) != Outcome(run.end):
                self.run_outcomes[run.id] = Outcome(run.end)
                self.happened.runs.append(run)
        elif run.id in self._before.runs or run.state == "running" or len(self._runs) < RUNS_FOLLOWED:
            self._runs[run.id] = OpenRun(run.key, run.state, before.fresh and not started)

    # -- task instances that are followed ------------------------------------------------------------------------------

    def _read_unfinished(self) -> None:
        open_runs = {run.key: run.state for run in self._runs.values()}
        for run in [run for run in self._aside if run not in open_runs]:
            self._pending[run] = self._aside.pop(run)
        left_out = set(self._aside)
        instances = task_outcomes.unfinished(self._db, left_out, self._limit + 1)
        if len(instances) > self._limit:
            largest = too_many(self._db, self._limit, {key.run for key in self._before.tasks})
            self._set_aside(run for run in largest if run in open_runs)
            # What a run left behind that has ended cannot wait for its end.
            left_out |= {run for run in largest if run not in open_runs} | self._aside.keys()
            instances = task_outcomes.unfinished(self._db, left_out, self._limit)
        now = {one.key: one for one in instances}
        vanished = [key for key in self._before.tasks if key not in now and key.run not in left_out]
        found = task_outcomes.by_key(self._db, vanished)
        for key, one in found.items():
            if not one.unfinished:
                self._end(one, self._before.tasks[key])
            elif one.state is not None or open_runs.get(key.run) == "running":
                now[key] = one
        expanded = self._read_expanded([key for key in vanished if key not in found])
        self.happened.queues |= {one.queue for one in instances}
        uncounted = task_outcomes.uncounted_states(self._db.schema)
        for key, one in now.items():
            ended = one.ended_tries(uncounted)
            before = self._before.tasks.get(key, 0)
            if ended > before:
                # All tries of what did not exist before are news.
                new = self._pending.get(key.run) == Since() or key[:3] in expanded
                self._tried.append((one, before, new or key in self._before.tasks))
            self._tasks[key] = max(ended, before)

    def _read_expanded(self, missing: Iterable[TaskKey]) -> set[tuple[str, str, str]]:
        """A mapped task that is expanded gives up its row: its instances are new, and some may have ended already."""
        tasks = {key[:3] for key in missing if key.map_index == UNMAPPED}
        expanded = set()
        for one in task_outcomes.of_tasks(self._db, tasks):
            expanded.add(one.key[:3])
            if not one.unfinished and one.key not in self._before.tasks:
                self._end(one, 0)
        self.happened.deleted_tasks += sum(key.map_index != UNMAPPED or key[:3] not in expanded for key in missing)
        return expanded

    def _set_aside(self, runs: Iterable[RunKey]) -> None:
        counted: dict[RunKey, dict[TaskKey, Outcome]] = {run: {} for run in runs}
        for key, each in self._counted.items():
            if key.run in counted:
                counted[key.run][key] = each
        for run, those in counted.items():
            since = self._pending.pop(run, self._news)
            self._aside[run] = Since(since.moment, {**since.counted, **those})
            self.happened.set_aside += 1

    # -- task instances that are seen through their run, or their heartbeat --------------------------------------------

    def _read_pending(self) -> None:
        read = 0
        for runs in batched(list(self._pending)[:RUNS_READ], RUNS_AT_ONCE):
            since = {run: self._pending[run] for run in runs}
            moments = [each.moment for each in since.values()]
            for all_news in (True, False):
                some = [run for run in runs if (since[run].moment is None) == all_news]
                earliest = None if all_news else min((each for each in moments if each is not None), default=None)
                if some:
                    rows = task_outcomes.finished_of(self._db, some, earliest)
                    read += len(rows)
                    for one in rows:
                        self._end_if_news(one, since[one.key.run])
            for run in runs:
                del self._pending[run]
            if read > ROWS_READ:
                break

    def _read_beating(self) -> None:
        beat = max(self._before.moment - BEAT, self._db.now - BEATS_READ)
        for one in task_outcomes.finished_beating(self._db, beat, self._news_from):
            if one.key.run not in self._aside and one.key.run not in self._pending:
                self._end_if_news(one, self._news)

    def _end_if_news(self, one: Instance, since: Since) -> None:
        if one.key in self._tasks or outcome(one).again(since.counted.get(one.key)):
            return
        if since.moment is None:
            self._end(one, 0)
        elif one.end is not None and one.end >= since.moment:
            self._end(one, 0, known=False)

    # -- what is counted -----------------------------------------------------------------------------------------------

    def _end(self, one: Instance, tries_before: int, *, known: bool = True) -> None:
        """Count an outcome, once; the tries between `tries_before` and its last have failed, or are in the archive."""
        this, counted = outcome(one), self._counted.get(one.key)
        # What was seen unfinished since has a new outcome, even of the same try, unless the one before is shown once more.
        known_again = this == counted if one.key in self._before.tasks else this.again(counted)
        if known_again or this.again(self.outcomes.get(one.key)):
            return
        self.outcomes[one.key] = this
        self.happened.tasks.append(one)
        if one.ended_tries() > tries_before:
            self._tried.append((one, tries_before, known))

    def _read_tries(self) -> None:
        uncounted = task_outcomes.uncounted_states(self._db.schema)
        archived = task_outcomes.archived(self._db, dict.fromkeys(one.key for one, _, _ in self._tried))
        for one, before, known in self._tried:
            for number in range(before + 1, one.ended_tries(uncounted) + 1):
                found = archived.get((one.key, number))
                if known or (found and self._is_news(found.instance)):
                    self._end_try(one, found)

    def _recent(self, end: datetime | None) -> bool:
        return end is not None and end >= self._news_from

    def _is_news(self, tried: Instance) -> bool:
        """Whether this archived try ended since the last poll: its moment alone may be that of one counted before."""
        counted, number = self._counted.get(tried.key), tried.try_number
        before = (tried.key, number) in self._before.tries or (counted is not None and number <= counted.try_number)
        return self._recent(tried.end) and not before

    def _end_try(self, one: Instance, found: Archived | None) -> None:
        """Without an archive an earlier try has failed; with one, it may also have ended for good and been cleared."""
        if found and found.instance.end:
            self._tries[one.key, found.instance.try_number] = found.instance.end
        if found is None or found.retried:
            self.happened.retries.append(Retried(one.key, one.queue))
        elif not found.instance.unfinished and not outcome(found.instance).again(self._counted.get(one.key)):
            self.happened.tasks.append(found.instance)


def _created(run: Run) -> OpenRun:
    return OpenRun(run.key, None, fresh=True)
