"""While the tests run, annotated shapes are checked: a wrong one fails, whoever passes it on."""

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float64

from spaceprobe.analysis.association import associate, is_constant
from spaceprobe.folding.counts import PathTrace
from tests.shape_checks import checked

FIVE = np.arange(5.0)


def test_what_is_annotated_is_accepted():
    assert associate(FIVE, FIVE).pearson == pytest.approx(1)


@pytest.mark.parametrize(
    "response", [FIVE[:4], FIVE.reshape(1, 5), FIVE.astype(np.float32), FIVE.tolist()], ids=repr
)
def test_size_axes_and_type_arechecked(response):
    with pytest.raises(BeartypeCallHintViolation, match="response"):
        associate(FIVE, response)


def test_fields_of_a_dataclass_arechecked_against_each_other():
    steps = np.arange(5)
    PathTrace(t=FIVE, distance=steps, length=steps, chi=FIVE)
    with pytest.raises(BeartypeCallHintViolation, match="chi"):
        PathTrace(t=FIVE, distance=steps, length=steps, chi=FIVE[:4])


def test_the_result_ischecked_against_the_arguments():
    def halved(column: Float64[np.ndarray, "runs"]) -> Float64[np.ndarray, "runs"]:
        return column[::2]

    halved.__qualname__ = "halved"  # as at the top of a module
    with pytest.raises(BeartypeCallHintViolation, match="return"):
        checked(halved)(FIVE)


@pytest.mark.usefixtures("unchecked_shapes")
def test_checks_can_be_switched_off():
    assert is_constant(FIVE[:1].astype(np.float32))


def test_each_call_has_sizes_of_its_own():
    assert not is_constant(FIVE)
    assert is_constant(FIVE[:1])
