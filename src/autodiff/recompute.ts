// Keeps memory within bounds: forward values that are not kept until the backward part needs them are computed again there.
import { type Graph, type Node, type Value } from '../onnx/index.js';

/** True for a forward value that is to be computed again. Graph inputs and constants are always kept. */
export type Recompute = (value: Value) => boolean;

const CHEAP: ReadonlySet<string> = new Set(
  (
    'Abs Add Cast Clip Concat DequantizeLinear Div Elu Exp Expand Flatten HardSigmoid HardSwish Identity LeakyRelu Max Min Mul ' +
    'Neg Pad PRelu QuantizeLinear Relu Reshape Resize Sigmoid Slice Softplus Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where'
  ).split(' '),
);

/** Everything but products, convolutions, poolings and reductions: what these give is kept, functions of it are not. */
export const recomputeCheap: Recompute = (value) =>
  value.producer !== undefined && value.producer.is(...CHEAP);

/** Hands out stand-ins for forward values in the backward part. */
export class Recomputer {
  readonly #graph: Graph;
  readonly #wanted: Recompute;
  readonly #copies = new Map<Value, Value>();
  #last: Node | undefined;

  /** @param last the forward part's last node: copies go behind it */
  constructor(graph: Graph, wanted: Recompute, last: Node | undefined) {
    this.#graph = graph;
    this.#wanted = wanted;
    this.#last = last;
  }

  /** Whether anything was computed again. */
  get hasCopies(): boolean {
    return this.#copies.size > 0;
  }

  /** The value itself where it is kept, else its copy. */
  standIn(value: Value): Value {
    const known = this.#copies.get(value);
    if (known !== undefined) return known;
    const { producer } = value;
    if (producer === undefined || !this.#wanted(value)) return value;
    const inputs = producer.inputs.map((input) => (input === undefined ? undefined : this.standIn(input)));
    const copy = this.#graph.addNode(
      {
        opType: producer.opType,
        domain: producer.domain,
        name: this.#graph.uniqueName(`${producer.name}/again`),
        inputs,
        outputs: producer.outputs.length,
        attributes: producer.attributes,
      },
      this.#last === undefined ? undefined : { after: this.#last },
    );
    this.#last = copy;
    producer.outputs.forEach((output, i) => {
      const again = copy.output(i);
      if (output === undefined || again === undefined) return;
      again.type = output.type;
      again.shape = output.shape;
      this.#copies.set(output, again);
    });
    return this.#copies.get(value) ?? value;
  }
}
