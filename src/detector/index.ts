// Generations: one detector process each, and how frames reach it.
export { encodeHeader, FrameReader, HEADER_BYTES, MAX_PAYLOAD_BYTES, rawBytes } from './wire.js';
