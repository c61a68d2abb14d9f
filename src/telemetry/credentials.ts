// Certificates and the password: read anew at every connect, so that a renewed one is taken up without a restart.
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { MqttConfig } from '../config/index.js';
import { BitlaneError } from '../errors.js';

const MAX_BYTES = 1_048_576;
const MAX_PASSWORD_BYTES = 65_535;

export interface Credentials {
  readonly username?: string;
  readonly password?: Buffer;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

const read = (setting: string, path: string): Buffer => {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new BitlaneError('BAD_CONFIG', `${setting} ${path} is not a file`);
    if (stat.size > MAX_BYTES) {
      throw new BitlaneError('BAD_CONFIG', `${setting} ${path} is larger than ${MAX_BYTES} bytes`);
    }
    return readFileSync(path);
  } catch (error) {
    if (error instanceof BitlaneError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    const why =
      code === 'ENOENT'
        ? 'does not exist'
        : code === 'EACCES'
          ? 'may not be read by this user'
          : `cannot be read (${code})`;
    throw new BitlaneError('BAD_CONFIG', `${setting} ${path} ${why}`);
  }
};

/** OpenSSL's own words may quote what it read: they stay out of the sentence. */
const check = (what: string, certificate: Buffer, options: SecureContextOptions): void => {
  try {
    // An authority that is none would be passed over without a word.
    new X509Certificate(certificate);
    createSecureContext(options);
  } catch {
    throw new BitlaneError('BAD_CONFIG', `${what}: not in PEM form, or not fitting together`);
  }
};

const passwordOf = (path: string): Buffer => {
  const bytes = read('mqtt.passwordFile', path);
  const end = bytes.findIndex((byte) => byte === 0x0a || byte === 0x0d);
  const password = end < 0 ? bytes : bytes.subarray(0, end);
  if (password.length === 0) {
    throw new BitlaneError('BAD_CONFIG', `mqtt.passwordFile ${path} has no password in its first line`);
  }
  if (password.length > MAX_PASSWORD_BYTES) {
    throw new BitlaneError(
      'BAD_CONFIG',
      `mqtt.passwordFile ${path} has more than ${MAX_PASSWORD_BYTES} bytes in its first line`,
    );
  }
  return password;
};

/**
 * Reads what the settings name.
 *
 * @throws BitlaneError BAD_CONFIG with a sentence that names the setting and the file, never its content
 */
export const readCredentials = (mqtt: MqttConfig): Credentials => {
  const ca = mqtt.caFile === undefined ? undefined : read('mqtt.caFile', mqtt.caFile);
  if (ca !== undefined) check(`mqtt.caFile ${mqtt.caFile} cannot be used`, ca, { ca });
  const cert = mqtt.certFile === undefined ? undefined : read('mqtt.certFile', mqtt.certFile);
  const key = mqtt.keyFile === undefined ? undefined : read('mqtt.keyFile', mqtt.keyFile);
  if (cert !== undefined && key !== undefined) {
    check(`mqtt.certFile ${mqtt.certFile} and mqtt.keyFile ${mqtt.keyFile} cannot be used`, cert, {
      cert,
      key,
    });
  }
  return {
    ...(mqtt.username === undefined ? {} : { username: mqtt.username }),
    ...(mqtt.passwordFile === undefined ? {} : { password: passwordOf(mqtt.passwordFile) }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
};
