"""How annotated shapes are checked while the tests run: once a call, and only where there are any."""

import functools
import inspect
import typing
from dataclasses import is_dataclass

import jaxtyping
from beartype import beartype


def install(modules):
    """Check the shapes that functions and dataclasses of modules declare, from their import on.

    jaxtyping's import hook decorates everything by `jaxtyping.jaxtyped`, which binds the arguments of each
    call and has them checked twice, to say more about an error: half of the time of a test of correlations.
    """
    jaxtyping.jaxtyped = lambda **_options: checked
    jaxtyping.install_import_hook(modules, "beartype.beartype")


_context = jaxtyping.jaxtyped


def checked(decorated):
    """Return a function that checks its arguments and its result, all sizes of a name against each other."""
    if isinstance(decorated, classmethod | staticmethod):
        return type(decorated)(checked(decorated.__func__))
    if isinstance(decorated, property):
        return property(checked(decorated.fget))
    if inspect.isclass(decorated):
        if is_dataclass(decorated) and _has_shapes(decorated.__init__):
            decorated.__init__ = checked(decorated.__init__)
        return decorated
    # A function inside of another one is made at each call of that: checking it would take far longer.
    if "<locals>" in decorated.__qualname__ or not _has_shapes(decorated):
        return decorated
    with_types = beartype(decorated)

    @functools.wraps(decorated)
    def checking(*arguments, **options):
        if jaxtyping.config.jaxtyping_disable:
            return decorated(*arguments, **options)
        with _context("context"):
            return with_types(*arguments, **options)

    return checking


def _has_shapes(function):
    return any(_is_shaped(annotation) for annotation in function.__annotations__.values())


def _is_shaped(annotation):
    if isinstance(annotation, str):  # of what is not imported while the program runs
        return False
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(_is_shaped(part) for part in typing.get_args(annotation))
