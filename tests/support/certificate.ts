import { execFile } from 'node:child_process';
import { realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { findJava } from '#kernel/bus/kafka/server/java.ts';
import type { ServerTls } from '#kernel/bus/kafka/server/properties.ts';
import { onEnd } from './cleanup.ts';
import { openFolder } from './data-folder.ts';

const PASSWORD = 'changeit';

/** A certificate for 127.0.0.1 that nobody has signed but its own key, made by the tool that Java brings. `trusted` is its PEM file. */
export async function makeCertificate(t: TestContext): Promise<ServerTls> {
  const folder = await openFolder();
  onEnd(t, () => rm(folder, { recursive: true }));
  const keytool = join(dirname(await realpath(await findJava())), 'keytool');
  const keyStore = join(folder, 'broker.p12');
  const trusted = join(folder, 'broker.pem');
  const store = ['-keystore', keyStore, '-storetype', 'PKCS12', '-storepass', PASSWORD, '-alias', 'broker'];
  const key = ['-keyalg', 'EC', '-groupname', 'secp256r1', '-dname', 'CN=broker of a test', '-validity', '2'];
  await promisify(execFile)(keytool, ['-genkeypair', ...store, ...key, '-ext', 'SAN=ip:127.0.0.1']);
  await promisify(execFile)(keytool, ['-exportcert', '-rfc', ...store, '-file', trusted]);
  return { keyStore, password: PASSWORD, trusted };
}
