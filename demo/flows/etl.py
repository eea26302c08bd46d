"""Orders of a day, priced one by one and summed up: a mapped flow."""

import prefect
from prefect import Flow, Parameter, task


@task
def extract(orders):
    return list(range(1, orders + 1))


@task
def price(order):
    return order * 10


@task
def load(prices):
    prefect.context.logger.info("revenue: %s", sum(prices))


with Flow("orders-etl") as flow:
    load(price.map(extract(Parameter("orders", default=3))))
