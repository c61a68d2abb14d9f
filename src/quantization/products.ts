// Products of sample matrices: onnxruntime's own kernels are many times faster at them than anything here could be.
import { BitlaneError } from '../errors.js';
import { Graph, ints, Model, writeModel } from '../onnx/index.js';
import { floatTensor, openSession, type Session, type SessionOptions } from '../runtime/index.js';

/** A B^T for each group. */
const productModel = (): Model => {
  const graph = new Graph('products');
  const [a, b] = ['a', 'b'].map((name) => graph.addInput(name, 'float32', ['g', 'k', 'n']));
  if (a === undefined || b === undefined) throw new BitlaneError('INTERNAL', 'two inputs');
  const turned = graph.addNode({ opType: 'Transpose', inputs: [b], attributes: { perm: ints([0, 2, 1]) } });
  const product = graph.addNode({ opType: 'MatMul', inputs: [a, turned.output()], outputs: ['c'] }).output();
  if (product === undefined) throw new BitlaneError('INTERNAL', 'a product');
  product.type = 'float32';
  product.shape = ['g', 'k', 'k'];
  graph.addOutput(product);
  return new Model({ graph, irVersion: 8, opsets: [['', 13]] });
};

/** Multiplies matrices in a session of its own. `release` it. */
export class Products {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  static async open(options: SessionOptions = {}): Promise<Products> {
    return new Products(await openSession(writeModel(productModel()), options));
  }

  /**
   * A B^T for each group.
   *
   * @param a [groups, size, samples], row-major
   * @param b of the same shape
   * @returns [groups, size, size]
   */
  async of(
    a: Float32Array,
    b: Float32Array,
    groups: number,
    size: number,
    samples: number,
  ): Promise<Float32Array> {
    const dims = [groups, size, samples];
    const { c } = await this.#session.run({ a: floatTensor(dims, a), b: floatTensor(dims, b) });
    if (c?.type !== 'float32') throw new BitlaneError('INTERNAL', 'a product of floats is floats');
    return c.data;
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
