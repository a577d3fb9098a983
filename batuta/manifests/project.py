"""A path checked as a whole: what `batuta validate` and `batuta apply` see."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from batuta.contracts.contract import ContractError, Contracts
from batuta.manifests.catalog import Catalog
from batuta.manifests.compiler import Compilation, compile_manifests
from batuta.manifests.load import Document, load, project_folder
from batuta.manifests.problems import Position, Problem, errors_in
from batuta.quality.drift import drift
from batuta.quality.reading import PROJECT_FOLDER as DATA_CONTRACTS
from batuta.quality.reading import contract_files, read_contract


@dataclass(frozen=True, slots=True)
class Checked:
    """The manifests at a path, what they amount to and everything that is wrong with them."""

    project: Path
    """The project folder that the path lies in."""
    documents: tuple[Document, ...]
    compilation: Compilation
    catalog: Catalog
    """What the installed code and the project's own contracts offer."""
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Problems that forbid applying."""
        return errors_in(self.problems)


def check_path(path: Path, catalog: Catalog) -> Checked:
    """Check the manifests at a path, within the project that it is a part of.

    A file or subfolder of a project (`agents/`, `products/`, `pipelines/`) may refer to manifests elsewhere
    in the project; only problems at `path` are reported.
    """
    loaded = load(path)
    root = project_folder(path)
    folder = path if path.is_dir() else path.parent
    whole = loaded if folder.resolve() == root.resolve() else load(root)
    types, wrong_contracts = _contracts(root)
    offered = replace(catalog, event_types=(*catalog.event_types, *types))
    compilation = compile_manifests(whole.documents, offered, whole.broken)
    here = path.resolve()
    found = {
        problem
        for problem in (*compilation.problems, *wrong_contracts, *_data_contracts(root, catalog))
        if Path(problem.position.file).resolve().is_relative_to(here)
    }
    return Checked(root, loaded.documents, compilation, offered, tuple(sorted({*loaded.problems, *found})))


def _contracts(root: Path) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """Event types that the project's own contracts let in, and what is wrong with these contracts."""
    try:
        contracts = Contracts.load(root)
    except ContractError as error:
        return (), tuple(_contract_problems(error))
    return tuple(
        event_type for name in contracts.names for event_type in (name, *contracts.get(name).types)
    ), ()


def _data_contracts(root: Path, catalog: Catalog) -> Iterator[Problem]:
    """What is wrong with the project's own data contracts, in themselves and against what dbt builds."""
    read = [read_contract(file.read_bytes(), str(file)) for file in contract_files(root / DATA_CONTRACTS)]
    for item in read:
        yield from item.problems
    yield from drift(read, catalog.built, complete=False)


def _contract_problems(error: ContractError) -> Iterator[Problem]:
    for line in error.message.splitlines():
        file, _, message = line.partition(": ")
        yield Problem(Position(file), "", message)
