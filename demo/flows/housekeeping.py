"""Two flows in one file: agents find each by its name."""

import prefect
from prefect import Flow, task


@task
def sweep(what):
    prefect.context.logger.info("swept %s", what)


with Flow("sweep-temporary-files") as temporary:
    sweep("temporary files")

with Flow("sweep-old-reports") as reports:
    sweep("old reports")
