// Why a connection did not come about or ended, as sentences that say what to look at. Never a secret in them.
import { BitlaneError, messageOf } from '../errors.js';

/** Reason codes of CONNACK and DISCONNECT: MQTT 5, then MQTT 3.1.1 (1 to 5). */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [1, 'the broker does not speak this version of MQTT: set mqtt.protocolVersion to 4'],
  [2, 'the broker does not accept the client id: set mqtt.clientId'],
  [3, 'the broker says that it is not available'],
  [4, 'the broker does not accept mqtt.username and the password of mqtt.passwordFile'],
  [5, 'the broker does not let this device in: check mqtt.username, mqtt.passwordFile and mqtt.certFile'],
  [0x81, 'the broker says that a packet was malformed'],
  [0x82, 'the broker says that the protocol was broken'],
  [0x84, 'the broker does not speak this version of MQTT: set mqtt.protocolVersion to 4'],
  [0x85, 'the broker does not accept the client id: set mqtt.clientId'],
  [0x86, 'the broker does not accept mqtt.username and the password of mqtt.passwordFile'],
  [0x87, 'the broker does not let this device in: check mqtt.username, mqtt.passwordFile and mqtt.certFile'],
  [0x88, 'the broker says that it is not available'],
  [0x89, 'the broker is busy'],
  [0x8a, 'the broker has banned this device'],
  [0x8b, 'the broker is shutting down'],
  [0x8d, 'the broker heard nothing for longer than mqtt.keepaliveSeconds'],
  [0x8e, 'another client took the connection over with the same client id'],
  [0x93, 'the broker says that too many messages were under way'],
  [0x95, 'the broker says that a message was too large'],
  [0x96, 'the broker says that messages came too fast'],
  [0x97, 'a quota of the broker is exhausted'],
  [0x98, 'an administrator of the broker closed the connection'],
  [0x9f, 'the broker says that connections come too fast'],
]);

/** The sentence for a reason code. */
export const refusalOf = (code: number): string =>
  REFUSALS.get(code) ?? `the broker ended the connection with reason code ${code}`;

const codeOf = (error: unknown): string | number | undefined => {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' || typeof error.code === 'number' ? error.code : undefined;
};

/** mosquitto 2.0 answers a message beyond its `message_size_limit` with a code that a PUBACK cannot have. */
const isOddRefusal = (error: unknown): boolean => messageOf(error) === 'Invalid puback reason code';

/** Whether the other side broke the connection off, or gave cause to. */
export const isByBroker = (error: unknown): boolean => {
  const code = codeOf(error);
  return code === 'ECONNRESET' || code === 'EPIPE' || isOddRefusal(error);
};

const ofSystem = (code: string, where: string): string | undefined => {
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens at ${where}`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name in ${where} cannot be resolved`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENETDOWN':
      return `there is no way to ${where} in the network`;
    case 'ETIMEDOUT':
      return `${where} does not answer`;
    case 'ECONNRESET':
    case 'EPIPE':
      return `${where} broke the connection off`;
    case 'CERT_HAS_EXPIRED':
      return `the certificate of ${where} has expired (or the clock of this device is wrong)`;
    case 'CERT_NOT_YET_VALID':
      return `the certificate of ${where} is not valid yet (or the clock of this device is wrong)`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate of ${where} is for another host`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'CERT_SIGNATURE_FAILURE':
      return `the certificate of ${where} is not signed by an authority that is trusted here: check mqtt.caFile`;
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'EPROTO':
      return `${where} does not speak TLS as this device does: check the port and the scheme of mqtt.url`;
    default:
      return code.startsWith('ERR_SSL_') && /ALERT|CERT/.test(code)
        ? `${where} does not accept the client certificate: check mqtt.certFile and mqtt.keyFile`
        : undefined;
  }
};

/**
 * Anything that a connection failed with, as a sentence.
 *
 * @param where the address of the broker, as configured
 */
export const reasonOf = (error: unknown, where: string): string => {
  if (error instanceof BitlaneError) return error.message;
  if (isOddRefusal(error)) return `${where} refused a message with a code that MQTT does not know`;
  const code = codeOf(error);
  if (typeof code === 'number') return refusalOf(code);
  const known = code === undefined ? undefined : ofSystem(code, where);
  if (known !== undefined) return known;
  const message = messageOf(error).split('\n')[0] ?? '';
  if (message === 'connack timeout') return `${where} does not answer within mqtt.connectTimeoutMs`;
  if (message === 'Keepalive timeout') return `${where} was silent for longer than mqtt.keepaliveSeconds`;
  return `the connection to ${where} failed: ${message || String(code)}`;
};
