// Loaded before every test file that `npm test` runs: property tests draw the same cases each time, so that a change is judged by
// what it changes. `npm run fuzz`, and a test file that is run alone, draw new ones.
import fc from 'fast-check';

if (process.env.BITLANE_FUZZ_SCALE === undefined) fc.configureGlobal({ seed: 20_251_018 });
