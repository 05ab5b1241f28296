# The image of the head and of the workers: what `make up` installs, from the same lock.
FROM python:3.11.14-slim-bookworm AS build
RUN apt-get update --quiet=2 \
 && apt-get install --quiet=2 --yes --no-install-recommends build-essential \
 && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/pointsman
WORKDIR /src
COPY requirements.lock pyproject.toml README.md ./
RUN /opt/pointsman/bin/pip install --no-cache-dir --no-compile --requirement requirements.lock
COPY analysis analysis
COPY bandits bandits
COPY gateway gateway
COPY inference_log inference_log
COPY registry_sync registry_sync
COPY router router
COPY runtimes runtimes
COPY store store
RUN /opt/pointsman/bin/pip install --no-cache-dir --no-deps . \
 && /opt/pointsman/bin/python -m compileall -q /opt/pointsman/lib/python3.11/site-packages

FROM python:3.11.14-slim-bookworm
# KubeRay's probes run bash and wget; libgomp1 is for LightGBM.
RUN apt-get update --quiet=2 \
 && apt-get install --quiet=2 --yes --no-install-recommends bash wget libgomp1 ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1000 pointsman \
 && useradd --uid 1000 --gid 1000 --home-dir /var/lib/pointsman --create-home pointsman
COPY --from=build /opt/pointsman /opt/pointsman
ENV PATH=/opt/pointsman/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /var/lib/pointsman
# Where it runs without Ray's operator. The root may be read-only: /tmp and /var/lib/pointsman are written.
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
  CMD wget -q -O - http://127.0.0.1:8000/-/healthz | grep -q success
CMD ["pointsman", "serve", "--host", "0.0.0.0", "--home", "/var/lib/pointsman"]
