"""Rules that JSON Schema cannot say: what breaks them is no valid input, so it is not sent as one."""

from datetime import datetime, timedelta, timezone

import schemathesis


def fields(case):
    """The fields as the server reads them: the query wins over the body."""
    body = case.body if isinstance(case.body, dict) else {}
    return {**body, **(case.query or {})}


def in_order(found):
    """Both days or none, and the first one not after the last one."""
    start, end = found.get("start_date"), found.get("end_date")
    return (start is None and end is None) or (start is not None and end is not None and start <= end)


def countable(found):
    """Not more than a day ahead, and not before the year 1000: the databases know no earlier days."""
    at = found.get("occurred_at")
    if at is None:
        return True
    try:
        at = datetime.fromisoformat(at.upper().replace("Z", "+00:00"))
    except ValueError:
        return False
    return datetime(1000, 1, 2, tzinfo=timezone.utc) < at < datetime.now(timezone.utc) + timedelta(hours=23)


@schemathesis.hook
def filter_case(context, case):
    """Leaves refused input alone: that is wrong on purpose."""
    if case.meta is None:
        return True
    if case.meta.generation.mode.is_negative:
        # What is wrong may stand in the body under a name that the query has too: then nobody reads it.
        return not (isinstance(case.body, dict) and set(case.body) & set(case.query or {}))
    # 5.0 is a whole number in JSON, where the server reads it as one; in a URL it is a text, and not of a number's form.
    if any(isinstance(value, float) for part in (case.path_parameters, case.query) for value in (part or {}).values()):
        return False
    if case.operation.path.endswith("/statistics/sync/daily"):
        return in_order(fields(case))
    if case.operation.path.endswith("/statistics/sync/plan"):
        # A plan belongs to one organisation.
        return "plan_id" not in fields(case) or fields(case).get("org") != "all"
    if case.operation.path.endswith("/statistics/events"):
        return countable(fields(case))
    return True
