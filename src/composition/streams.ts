import { marked } from '#kernel/event-store/postgres/joined-log.ts';
import type { LoadedStream, Store, StreamRef } from '#kernel/event-store/store.ts';
import type { ServiceName } from '#src/config.ts';
import type { serviceDefinitions } from './services.ts';

/** The streams of every service, wherever they are. */
export type Streams = Pick<Store, 'readStream' | 'loadStreams'>;

/** Where the streams of a service are. */
export interface StreamHome {
  readonly streams: Streams;
  /** See `LogPart`. */
  readonly number: number;
}

/** Every stream is in the database of the service that decides on it. */
export function joinStreams(
  definitions: ReturnType<typeof serviceDefinitions>,
  homeOf: (service: ServiceName) => StreamHome,
): Streams {
  const homes = new Map(
    [...definitions].flatMap(([name, { deciders }]) => deciders.map(({ aggregate }) => [aggregate, homeOf(name)])),
  );
  return {
    readStream: async (stream, options) => {
      const { streams, number } = homes.get(stream.type)!;
      return (await streams.readStream(stream, options)).map((event) => marked(event, number));
    },
    loadStreams: async (wanted) => {
      const found = new Map<StreamRef, LoadedStream>();
      for (const home of new Set(wanted.map(({ type }) => homes.get(type)!))) {
        const own = wanted.filter(({ type }) => homes.get(type) === home);
        const loaded = await home.streams.loadStreams(own);
        for (const [i, stream] of loaded.entries())
          found.set(own[i]!, { ...stream, events: stream.events.map((event) => marked(event, home.number)) });
      }
      return wanted.map((stream) => found.get(stream)!);
    },
  };
}
