"""A catalog of Iceberg in a directory: each table's pointer is a file. PyIceberg's own needs a database."""

from pathlib import Path
from typing import Any

from pyiceberg.catalog import MetastoreCatalog, PropertiesUpdateSummary
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER


class FolderCatalog(MetastoreCatalog, NoopCatalog):
    """See above. The property `warehouse` is a directory."""

    def create_namespace(self, namespace: Any, properties: Any = None) -> None:
        """Namespaces need not be made."""

    def load_namespace_properties(self, _: Any) -> dict[str, str]:
        return {}

    def update_namespace_properties(self, *_: Any, **__: Any) -> PropertiesUpdateSummary:
        raise NotImplementedError

    def create_table(
        self,
        identifier: Any,
        schema: Any,
        location: str | None = None,
        partition_spec: Any = UNPARTITIONED_PARTITION_SPEC,
        sort_order: Any = UNSORTED_SORT_ORDER,
        properties: Any = None,
    ) -> Table:
        staged = self._create_staged_table(identifier, schema, location, partition_spec, sort_order, properties or {})
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        self._pointer(identifier).write_text(staged.metadata_location)
        return self.load_table(identifier)

    def load_table(self, identifier: Any) -> Table:
        pointer = self._pointer(identifier)
        if not pointer.exists():
            raise NoSuchTableError(str(identifier))
        location = pointer.read_text()
        io = self._load_file_io(location=location)
        metadata = FromInputFile.table_metadata(io.new_input(location))
        return Table(self.identifier_to_tuple(identifier), metadata, location, io, self)

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        pointer = self._pointer(table.name())
        current = self.load_table(table.name())
        staged = self._update_and_stage_table(current, table.name(), requirements, updates)
        if staged.metadata != current.metadata:
            self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
            if pointer.read_text() != current.metadata_location:
                raise CommitFailedException("The table has changed meanwhile.")
            pointer.write_text(staged.metadata_location)
        return CommitTableResponse(metadata=staged.metadata, metadata_location=pointer.read_text())

    def _pointer(self, identifier: Any) -> Path:
        folder = Path(self.properties["warehouse"].removeprefix("file://"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder / (".".join(self.identifier_to_tuple(identifier)) + ".pointer")
