# The major is pinned to an LTS line; rebuild to take its patch releases.
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Only the compiler is needed here: no PostgreSQL binaries, no install scripts.
RUN npm ci --omit=optional --ignore-scripts
COPY . .
RUN node scripts/build.mjs

FROM node:24-slim AS dependencies
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-slim
# All interfaces of the container; publish the port only where it should be reached. There is no embedded PostgreSQL
# in the image: DATABASE_URL must be given. /data keeps the secret key and the first token when they are not given.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 LOCKSTEP_DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /build/node_modules ./node_modules
COPY package.json ./
COPY --from=build /build/dist/src ./dist/src
COPY --from=build /build/dist/migrations ./dist/migrations
RUN mkdir /data && chown node:node /data && chmod 700 /data
USER node
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node itself is the first process, so that SIGTERM reaches it and the service stops gracefully.
CMD ["node", "dist/src/main.js"]
