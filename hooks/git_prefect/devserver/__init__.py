"""A Prefect-1-compatible API on loopback, over SQLite: for demos and tests. It is not a Prefect Server.

``python -m git_prefect.devserver`` starts it. prefect.Client, the prefect command line, agents and flow runs
work against it as they do against Prefect Server 1.x; there is no user interface, no scheduler and no other
service behind it. Needs the extra ``demo`` (graphql-core, starlette, uvicorn).
"""
