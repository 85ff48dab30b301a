"""How annotated shapes are checked while the tests run."""

from typing import Any

from beartype import beartype


def checked_once(function):
    """Return what checks the arguments of a function or its result: jaxtyping asks for one, then the other.

    With what is returned jaxtyping has the arguments checked again, for type variables that both share; no
    function here has one, and the sizes bound by the arguments are kept.
    """
    returned = function.__annotations__.get("return", Any)
    if returned is not Any:
        function.__annotations__ = {"return": returned}
    return beartype(function)
