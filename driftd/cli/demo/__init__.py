"""`driftd demo`: the main job, on an embedded cluster and a local repository, with the real daemon."""
