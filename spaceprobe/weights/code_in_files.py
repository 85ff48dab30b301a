"""What is said of a file that holds code: what it is, and how to take the weights out of it."""

from spaceprobe.weights.quoting import quote

HOLDS_CODE = (
    "holds code to run ({code}), and spaceprobe runs none; "
    "save the plain state dict by itself where the file was made{steps}"
)
EXTRACTION = (
    ", in the environment of the project, if you trust the file{where}: weights = torch.load(FILE, "
    "map_location='cpu', weights_only=False){taken}; torch.save({{name: value.clone() for name, value "
    "in weights.items()}}, 'weights.pt')"
)
"""How to take the weights out of a file that holds more than weights."""

ELSEWHERE = (
    ", and with another key where the weights lie under another, with .state_dict() behind it where a whole "
    "model lies there"
)
"""What has to be said beside `EXTRACTION` where the file does not tell where its weights lie."""

IF_MODEL = " and its object is a model"
"""The same where the file holds one object, whose class is not torch's own."""

OF_MODULES = "torch.nn.modules."
"""How the names of torch's own layers begin: an object of such a class has a state dict."""


def code_text(code: str, place: str | None = None) -> str:
    """Return what is wrong with a file that holds code, which it names, with the way out.

    Args:
        code: what it mentions.
        place: where in the file the object of this class is: empty for the file's own, ``['net']`` for one
            under a key; None where that is not known.
    """
    is_module = code.startswith(OF_MODULES)
    where, taken = ELSEWHERE, "['state_dict']"
    if place is not None and (is_module or not place):
        where, taken = "" if is_module else IF_MODEL, f"{place}.state_dict()"
    steps = EXTRACTION.format(where=where, taken=taken)
    return HOLDS_CODE.format(code=quote(code), steps=steps)


def place_of(levels: list[list[object]]) -> str | None:
    """Return where an object belongs whose class is mentioned next, as `code_text` takes it.

    Args:
        levels: the stack, from mark to mark.
    """
    # torch's older stream wraps the class of a module into a tuple that begins with this word.
    *outer, top = levels
    if outer and top == ["module"] and not any(type(value) is dict for value in outer[-1][-1:]):
        levels = outer
    if not any(levels):
        return ""
    if len(levels) == 2 and len(levels[0]) == 1:
        root, pending = levels[0][0], levels[1]
    elif len(levels) == 1:
        root, *pending = levels[0]
    else:
        return None
    is_key = len(pending) % 2 == 1 and pending[-2:-1] != [{}]  # an empty dict may be one that is being filled
    return f"[{quote(pending[-1])}]" if type(root) is dict and is_key and type(pending[-1]) is str else None
