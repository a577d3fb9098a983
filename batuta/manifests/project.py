"""A path checked as a whole: what `batuta validate` and `batuta apply` see."""

from dataclasses import dataclass
from pathlib import Path

from batuta.manifests.catalog import Catalog
from batuta.manifests.compiler import Compilation, compile_manifests
from batuta.manifests.load import Document, load, project_folder
from batuta.manifests.problems import Problem, errors_in


@dataclass(frozen=True, slots=True)
class Checked:
    """The manifests at a path and everything that is wrong with them."""

    documents: tuple[Document, ...]
    compilation: Compilation
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
    compilation = compile_manifests(whole.documents, catalog, whole.broken)
    here = path.resolve()
    found = {
        problem
        for problem in compilation.problems
        if Path(problem.position.file).resolve().is_relative_to(here)
    }
    return Checked(loaded.documents, compilation, tuple(sorted({*loaded.problems, *found})))
