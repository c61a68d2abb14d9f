// A typed event emitter: what happens is a map of names to payloads.
import { EventEmitter } from 'node:events';

/** Typed wrapper over Node's emitter; listeners are called in order, synchronously. */
export class Emitter<Events extends object> {
  readonly #emitter = new EventEmitter();

  on<K extends keyof Events & string>(name: K, listener: (payload: Events[K]) => void): this {
    this.#emitter.on(name, listener);
    return this;
  }

  once<K extends keyof Events & string>(name: K, listener: (payload: Events[K]) => void): this {
    this.#emitter.once(name, listener);
    return this;
  }

  off<K extends keyof Events & string>(name: K, listener: (payload: Events[K]) => void): this {
    this.#emitter.off(name, listener);
    return this;
  }

  emit<K extends keyof Events & string>(name: K, payload: Events[K]): void {
    this.#emitter.emit(name, payload);
  }

  removeAll(): void {
    this.#emitter.removeAllListeners();
  }
}
