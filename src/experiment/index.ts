// The paper's experiment: what allocations are compared with.
export { type HaqLayer, type HaqOptions, type HaqResult, searchBits } from './search/haq.js';
