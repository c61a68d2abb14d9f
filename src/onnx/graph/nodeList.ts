// The order of a graph's nodes: a linked list that may be changed while it is walked.
import type { Node } from './node.js';

/** Where a new node goes; at the end where nothing is said. */
export type Place = { readonly before: Node } | { readonly after: Node };

/** One removed during a walk is not visited any more, one added behind the current one is. */
export class NodeList {
  #first: Node | undefined;
  #last: Node | undefined;
  #count = 0;

  get length(): number {
    return this.#count;
  }

  *[Symbol.iterator](): Generator<Node, void, undefined> {
    let node = this.#first;
    while (node !== undefined) {
      if (!node._removed) yield node;
      node = node._next;
    }
  }

  add(node: Node, place?: Place): void {
    const next = place === undefined ? undefined : 'before' in place ? place.before : place.after._next;
    const previous =
      place === undefined ? this.#last : 'before' in place ? place.before._previous : place.after;
    node._previous = previous;
    node._next = next;
    if (previous === undefined) this.#first = node;
    else previous._next = node;
    if (next === undefined) this.#last = node;
    else next._previous = node;
    this.#count += 1;
  }

  remove(node: Node): void {
    const { _previous: previous, _next: next } = node;
    if (previous === undefined) this.#first = next;
    else previous._next = next;
    if (next === undefined) this.#last = previous;
    else next._previous = previous;
    // `_next` stays: a walk that stands here finds its way on, as does one that stands before it.
    node._removed = true;
    this.#count -= 1;
  }

  /** Puts the nodes, all of them, into another order. */
  reorder(nodes: readonly Node[]): void {
    this.#first = nodes[0];
    this.#last = nodes.at(-1);
    nodes.forEach((node, index) => {
      node._previous = nodes[index - 1];
      node._next = nodes[index + 1];
    });
  }
}
