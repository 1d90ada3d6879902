"""Git: mirrors of sources, the files of a revision, and who wrote which line."""
