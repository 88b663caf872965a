# One image for every Airflow process and for the command line; docker-compose.yml says which command runs.
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS environment
WORKDIR /build
COPY requirements.txt .
# uv itself comes from the same lock, hashes checked; it then installs the rest in a tenth of pip's time. Bytecode is
# compiled here because the running user cannot write it, and every Airflow process would compile it anew.
RUN python -m venv /opt/venv \
    && awk '/^uv==/ {on = 1; print; next} /^[^ ]/ {on = 0} on' requirements.txt > uv.txt \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r uv.txt \
    && VIRTUAL_ENV=/opt/venv /opt/venv/bin/uv pip install --no-cache --compile-bytecode --require-hashes -r requirements.txt

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/ecs-exposure/plugins:/opt/ecs-exposure/examples \
    AIRFLOW_HOME=/opt/airflow
# The mount points exist and belong to the user, so that new named volumes do too.
RUN useradd --system --uid 10001 --home-dir /opt/airflow --shell /usr/sbin/nologin exposure \
    && install --directory --owner exposure --group exposure --mode 0700 \
       /opt/airflow /opt/airflow/logs /opt/ecs-exposure/lake /opt/ecs-exposure/state \
    && chmod 0755 /opt/ecs-exposure
COPY --from=environment /opt/venv /opt/venv
WORKDIR /opt/ecs-exposure
COPY sql sql
COPY examples examples
COPY plugins plugins
COPY dags dags
RUN python -m compileall -q plugins examples dags \
    && printf '#!/bin/sh\nexec python -m ecs_exposure.cli "$@"\n' > /usr/local/bin/ecs-exposure \
    && chmod 0755 /usr/local/bin/ecs-exposure
USER exposure
CMD ["ecs-exposure", "--help"]
