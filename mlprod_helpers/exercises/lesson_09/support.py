"""What several exercises of lesson 09 share."""


def held(seen):
    """What each expectation asked, without the counts in brackets -> whether it holds."""
    return {what.split(" (")[0]: ok for what, ok, *_ in seen.verdicts}
