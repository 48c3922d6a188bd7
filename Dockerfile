# The service with its bundled models, for CPUs. For NVIDIA cards: docker/Dockerfile.cuda.
# Build from the repository's root: docker build -t anatomend .
#
# Plain pip brings the torch that runs on NVIDIA cards and on CPUs alike, several gigabytes large. For a build without
# the cards' libraries, name an index that has torch *and* torchvision of it, so that the two match:
#   docker build --build-arg PIP_EXTRA="--extra-index-url=https://…" -t anatomend .

FROM python:3.11-slim AS build
ARG PIP_EXTRA=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
WORKDIR /src
# The dependencies first: this layer stays as it is until pyproject.toml changes. What settings can ask for is there too.
COPY pyproject.toml ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; o = p['optional-dependencies']; print(*p['dependencies'], *o['postgres'], *o['s3'], *o['tracing'], sep='\n')" > requirements.txt \
    && /opt/venv/bin/pip install ${PIP_EXTRA} -r requirements.txt
COPY README.md LICENSE ./
COPY detectors detectors
COPY service service
# What runs on no CPU, or builds what is not built here, stays behind: a gigabyte.
RUN /opt/venv/bin/pip install --no-deps . \
    && /opt/venv/bin/pip uninstall --yes triton pip \
    && rm -rf /opt/venv/lib/python3*/site-packages/torch/include

FROM python:3.11-slim
# What opencv's shared libraries ask for.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --no-create-home anatomend \
    && install -d -o anatomend /models \
    && install -d -o anatomend -m 700 /data
COPY --from=build /opt/venv /opt/venv
COPY LICENSE /opt/anatomend/
COPY models /opt/anatomend/models
# Inside a container the service has to listen on all addresses; who reaches it is decided where its port is published.
# So it starts without keys, and says so loudly: docs/decisions/0006-random-keys-and-loopback-without-keys.md.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    ANATOMEND_ALLOW_OPEN=true \
    ANATOMEND_MODELS_DIR=/opt/anatomend/models \
    ANATOMEND_DATA_DIR=/data \
    HF_HOME=/models/hub \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache
WORKDIR /data
# /data: pictures and the database. /models: checkpoints of your own, and what was downloaded from the hub.
VOLUME ["/data", "/models"]
USER anatomend
EXPOSE 8000
# Not /readyz: a full queue is no illness.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; [u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + path, timeout=2) for path in ('/startupz', '/livez')]"]
CMD ["anatomend", "serve"]
