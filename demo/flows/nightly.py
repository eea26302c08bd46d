"""A report every night, for a region that can be chosen: a schedule and parameters."""

import prefect
from prefect import Flow, Parameter, task
from prefect.schedules import CronSchedule


@task
def report(region, days):
    prefect.context.logger.info("report for %s over %s days", region, days)


with Flow("nightly-report", schedule=CronSchedule("0 3 * * *")) as flow:
    report(Parameter("region", default="north"), Parameter("days", default=7))
