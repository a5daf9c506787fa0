"""The stubs of the Rust part say what the module has."""

import ast
import inspect
from pathlib import Path

import pytest

import tercet
from tercet import _tercet

STUB = Path(tercet.__file__).with_name("_tercet.pyi")
TREE = ast.parse(STUB.read_text())


def stubbed(body):
    """Functions, classes and variables without the private ones."""
    found = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
    return {name: node for name, node in found.items() if not name.startswith("_") or name == "__version__"}


def parameters_of_stub(node):
    """Name, kind and default of each parameter."""
    arguments = node.args
    found = []
    defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + arguments.defaults
    for argument, default in zip(arguments.args, defaults, strict=True):
        found.append((argument.arg, False, None if default is None else ast.literal_eval(default), default is not None))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((argument.arg, True, None if default is None else ast.literal_eval(default), default is not None))
    return [parameter for parameter in found if parameter[0] not in ("self", "cls")]


def parameters_of(function):
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        has_default = parameter.default is not inspect.Parameter.empty
        found.append((
            parameter.name,
            parameter.kind is inspect.Parameter.KEYWORD_ONLY,
            parameter.default if has_default else None,
            has_default,
        ))
    return found


#: What only the feature `full` has.
FULL = {"GalleryStore", "Model", "run_command", "train"}
HERE = {name: node for name, node in stubbed(TREE.body).items() if tercet._HAS_NETWORKS or name not in FULL}


def test_names_of_the_module():
    public = {name for name in dir(_tercet) if not name.startswith("_")} | {"__version__"}
    assert set(HERE) == public


FUNCTIONS = [name for name, node in HERE.items() if isinstance(node, ast.FunctionDef)]
CLASSES = [name for name, node in HERE.items() if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    assert parameters_of_stub(stubbed(TREE.body)[name]) == parameters_of(getattr(_tercet, name))


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name):
    node, cls = stubbed(TREE.body)[name], getattr(_tercet, name)
    public = {member for member in vars(cls) if not member.startswith("_")}
    assert set(stubbed(node.body)) == public
    constructors = [m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__new__"]
    if constructors:
        assert parameters_of_stub(constructors[0]) == parameters_of(cls)
    else:
        with pytest.raises(TypeError):  # made by other functions only
            cls()
    for member, declared in stubbed(node.body).items():
        attribute = vars(cls)[member]
        decorators = [d.id for d in declared.decorator_list]
        if "property" in decorators:
            assert inspect.isgetsetdescriptor(attribute) or inspect.ismemberdescriptor(attribute), member
        else:
            assert ("staticmethod" in decorators) == isinstance(attribute, staticmethod), member
            assert parameters_of_stub(declared) == parameters_of(getattr(cls, member)), member


def test_everything_public_is_documented():
    for name in tercet.__all__:
        thing = getattr(tercet, name)
        if not inspect.isroutine(thing) and not inspect.isclass(thing):
            continue
        assert (thing.__doc__ or "").strip(), name
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not member.startswith("_") and (callable(value) or isinstance(value, (property, classmethod, staticmethod))):
                assert (getattr(thing, member).__doc__ or "").strip(), f"{name}.{member}"


def test_all_names_exist():
    assert len(set(tercet.__all__)) == len(tercet.__all__)
    for name in tercet.__all__:
        assert hasattr(tercet, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tercet.nothing


def test_the_package_is_typed():
    assert STUB.with_name("py.typed").exists()
