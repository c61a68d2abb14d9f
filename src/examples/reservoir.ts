// Which examples stay: every pair of classes has a reservoir of its own, so that a busy pair does not push out a rare one. Pure.

/** What is known of a stored example. */
export interface Stub {
  readonly id: string;
  readonly takenMs: number;
  readonly pair: string;
  readonly bytes: number;
  readonly labelled: boolean;
}

/** Candidates of a pair so far, decayed to `seenMs`. */
export interface Flow {
  readonly seen: number;
  readonly seenMs: number;
}

/** One more candidate at `nowMs`; earlier ones count the less the longer ago they came. */
export const oneMore = (flow: Flow | undefined, nowMs: number, halfLifeMs: number): Flow => {
  const ageMs = flow === undefined ? 0 : Math.max(0, nowMs - flow.seenMs);
  return { seen: (flow?.seen ?? 0) * 0.5 ** (ageMs / halfLifeMs) + 1, seenMs: nowMs };
};

/**
 * Algorithm R of reservoir sampling (Vitter 1985) over a decayed count: a candidate of a full reservoir gets in with probability
 * capacity / seen. So the reservoir is a fair sample of the last few half-lives, and the fewer are written the longer it runs.
 * @param random 0..1
 */
export const isAdmitted = (flow: Flow, held: number, capacity: number, random: () => number): boolean =>
  held < capacity || random() * flow.seen < capacity;

const pick = <T>(items: readonly T[], random: () => number): T | undefined =>
  items[Math.min(items.length - 1, Math.floor(random() * items.length))];

/** Whom a newcomer replaces in a full reservoir: anyone without a label. */
export const victimOf = (group: readonly Stub[], random: () => number): Stub | undefined =>
  pick(
    group.filter(({ labelled }) => !labelled),
    random,
  );

/** What is known of one that is to be stored. */
export type Newcomer = Pick<Stub, 'pair' | 'bytes'>;

/**
 * Who goes so that the pictures take at least `excess` bytes less: again and again one without a label, by chance, of the pair with
 * the most bytes. When only labelled ones are left, the oldest of these.
 * @param coming are about to be stored and count with their pairs: where theirs is the largest, and nothing else of it could go, no more
 *   goes than that
 */
export const overflowOf = (
  stubs: Iterable<Stub>,
  excess: number,
  random: () => number,
  coming: readonly Newcomer[] = [],
): Stub[] => {
  const groups = new Map<string, { bytes: number; free: Stub[]; isComing: boolean }>();
  const groupOf = (pair: string) => {
    const group = groups.get(pair) ?? { bytes: 0, free: [], isComing: false };
    groups.set(pair, group);
    return group;
  };
  const labelled: Stub[] = [];
  for (const stub of stubs) {
    const group = groupOf(stub.pair);
    group.bytes += stub.bytes;
    if (stub.labelled) labelled.push(stub);
    else group.free.push(stub);
  }
  for (const { pair, bytes } of coming) {
    const group = groupOf(pair);
    group.bytes += bytes;
    group.isComing = true;
  }
  const gone: Stub[] = [];
  let over = excess;
  const take = (stub: Stub): void => {
    gone.push(stub);
    over -= stub.bytes;
  };
  while (over > 0) {
    const [largest] = [...groups.values()]
      .filter(({ free, isComing }) => free.length > 0 || isComing)
      .sort((a, b) => b.bytes - a.bytes);
    if (largest === undefined) break;
    const victim = pick(largest.free, random);
    if (victim === undefined) return gone;
    largest.free.splice(largest.free.indexOf(victim), 1);
    largest.bytes -= victim.bytes;
    take(victim);
  }
  labelled.sort((x, y) => x.takenMs - y.takenMs);
  for (const stub of labelled) if (over > 0) take(stub);
  return gone;
};
