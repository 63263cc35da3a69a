# The command `efficientvision` in a container.
#
#   docker build -t efficientvision .
#   docker run --rm -v "$PWD:/data" efficientvision train efficientdet-lite0 photos/
#
# With NVIDIA GPUs (the host needs a driver and the NVIDIA Container Toolkit):
#
#   docker build -t efficientvision:gpu --build-arg EXTRAS=gpu,fast-eval,litert,onnx,plots,video .
#   docker run --rm --gpus=all -v "$PWD:/data" efficientvision:gpu train efficientdet-d0 photos/

ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir=/wheel .

FROM python:${PYTHON}-slim
ARG EXTRAS=fast-eval,litert,onnx,plots,video
COPY --from=build /wheel /wheel
RUN pip install --no-cache-dir "$(echo /wheel/*.whl)[${EXTRAS}]" \
    && rm -r /wheel \
    && useradd --create-home --uid 1000 user
USER 1000
WORKDIR /data
ENTRYPOINT ["efficientvision"]
CMD ["--help"]
