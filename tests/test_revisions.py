"""The names of the migrations' files say what Alembic says of them."""

from alembic.script import ScriptDirectory

from etl.db.revisions import MIGRATIONS, head_revision, known_revisions


def test_files_are_named_in_the_order_of_their_revisions() -> None:
    directory = ScriptDirectory(str(MIGRATIONS))
    assert known_revisions() == [script.revision for script in reversed(list(directory.walk_revisions()))]
    assert head_revision() == directory.get_current_head()
