/** TEMPORARY until the server code lands. */
export async function kafkaOfTests(): Promise<{ readonly bootstrap: readonly string[] }> {
  return { bootstrap: [process.env.TEST_KAFKA ?? '127.0.0.1:29092'] };
}

export async function startKafkaForFile(): Promise<{ readonly bootstrap: readonly string[]; stop(): Promise<void> }> {
  return { ...(await kafkaOfTests()), stop: async () => undefined };
}
