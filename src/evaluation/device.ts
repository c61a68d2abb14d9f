// The device that figures were measured on: a figure without it says nothing.
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os';

export interface DeviceDescription {
  /** Board (Raspberry Pi and its like) or processor, as the system calls it. */
  readonly name: string;
  readonly cpu: string;
  readonly cores: number;
  readonly arch: string;
  /** Instruction sets that decide how fast integer kernels are. */
  readonly features: readonly string[];
  readonly memoryMb: number;
  readonly os: string;
  readonly node: string;
}

const FEATURES = [
  'avx2',
  'avx512f',
  'avx512_vnni',
  'avx_vnni',
  'amx_int8',
  'asimd',
  'asimddp',
  'i8mm',
  'sve',
] as const;

const readOr = (path: string, fallback: string): string => {
  try {
    return readFileSync(path, 'utf8').replaceAll('\0', '').trim();
  } catch {
    return fallback;
  }
};

/** Reads what the system says of itself; starts no process. */
export const describeDevice = (): DeviceDescription => {
  const info = readOr('/proc/cpuinfo', '');
  const flags = new Set((/^(?:flags|Features)\s*:\s*(.*)$/m.exec(info)?.[1] ?? '').split(' '));
  const cpu = cpus()[0]?.model.trim() ?? 'unknown';
  const system = /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readOr('/etc/os-release', ''))?.[1] ?? 'Linux';
  return {
    name: readOr('/proc/device-tree/model', cpu),
    cpu,
    cores: availableParallelism(),
    arch: arch(),
    features: FEATURES.filter((feature) => flags.has(feature)),
    memoryMb: Math.round(totalmem() / 2 ** 20),
    os: `${system}, Linux ${release()}`,
    node: process.version,
  };
};
