# statllama on a host with an NVIDIA GPU: driver 580 or later and the NVIDIA Container Toolkit. docs/install.md has the commands.
#
#   docker build -t statllama .
#   docker run --rm --gpus all -v statllama:/workspace -v huggingface:/cache -v "$PWD":/work statllama run mine.yaml
#
# Without a network, from a folder of wheels and from the stage `system` built where there is one:
#
#   docker build -t statllama --build-arg SYSTEM=statllama-system --build-context wheels=wheels .

# A stage of this file, or an image that was made of it.
ARG SYSTEM=system

# The CUDA libraries come with PyTorch's wheels, so the smallest image does. Triton compiles its launchers with gcc.
FROM nvidia/cuda:13.0.2-base-ubuntu24.04 AS system
# The archive keeps no old versions, so a pinned one is a build that fails next month.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

# Empty, so that packages come from the index; `--build-context wheels=FOLDER` puts a folder in its place.
FROM scratch AS wheels

FROM ${SYSTEM}
ARG EXTRAS=cuda,gguf,trackers
ENV PATH=/opt/statllama/bin:$PATH \
    STATLLAMA_WORKSPACE=/workspace \
    HF_HOME=/cache
WORKDIR /src
RUN python3 -m venv /opt/statllama
COPY . .
RUN --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=cache,target=/root/.cache/pip \
    if ls /wheels/*.whl > /dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; fi \
    && /opt/statllama/bin/pip install --constraint constraints.txt ".[$EXTRAS]" \
    && /opt/statllama/bin/statllama --version
RUN useradd --create-home --uid 10001 statllama \
    && install -d -o statllama -g statllama /workspace /cache /work
USER 10001
VOLUME ["/workspace", "/cache"]
WORKDIR /work
ENTRYPOINT ["statllama"]
CMD ["--help"]
