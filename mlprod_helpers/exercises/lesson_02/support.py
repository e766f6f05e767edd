"""What several exercises of lesson 02 share."""


def arguments(seen):
    """The arguments of each call that the check made."""
    return [call.given for call in seen.calls]
