FROM python:3.12-slim

# such as --build-arg EXTRAS=cluster or EXTRAS=speech,ocr
ARG EXTRAS=""
COPY . /src
RUN pip install --no-cache-dir "/src${EXTRAS:+[$EXTRAS]}" \
    && rm -rf /src \
    && useradd --uid 1000 --create-home vsearch \
    && mkdir /data /videos \
    && chown vsearch /data

USER 1000
ENV VSEARCH_LIBRARY=/data/library VSEARCH_CACHE=/data/cache
VOLUME ["/data", "/videos"]
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
ENTRYPOINT ["vsearch"]
CMD ["serve", "/videos", "--host", "0.0.0.0"]
