# Builds the image of all commands: `rufkette ingest`, `alerting`, `migrate`, `topics`, …
FROM python:3.11.14-slim-bookworm AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1

WORKDIR /build
COPY requirements/runtime.txt requirements/build.txt requirements/
# The build tool has an environment of its own, so that nothing of it reaches the image.
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
 && python -m venv /opt/rufkette && /opt/rufkette/bin/pip install --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY services services
RUN /opt/build/bin/python -m hatchling build -t wheel -d dist \
 && /opt/rufkette/bin/pip install --no-deps dist/*.whl \
 && /opt/rufkette/bin/python -m compileall -q /opt/rufkette/lib

FROM python:3.11.14-slim-bookworm

# A volume mounted at ingest's journal starts with this directory's owner.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin rufkette \
 && install --directory --owner=10001 --group=10001 --mode=700 /var/lib/rufkette
COPY --from=builder /opt/rufkette /opt/rufkette
ENV PATH=/opt/rufkette/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RUFKETTE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["rufkette"]
CMD ["--help"]
# Ingest by default; docker-compose.yml gives each service its own check, and the one-shot commands end before it runs.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
