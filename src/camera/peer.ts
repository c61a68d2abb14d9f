// Who is at the other end of a loopback connection: the kernel's tables say which process group holds that socket.
import { readdir, readFile, readlink } from 'node:fs/promises';

const LOOPBACK = '0100007F';
const hexPort = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');

/** The inode of the socket that is bound to `port` and connected to `peerPort`, both on 127.0.0.1. */
const inodeOf = async (port: number, peerPort: number): Promise<string | undefined> => {
  const table = await readFile('/proc/self/net/tcp', 'utf8');
  const [local, remote] = [`${LOOPBACK}:${hexPort(port)}`, `${LOOPBACK}:${hexPort(peerPort)}`];
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (fields[1] === local && fields[2] === remote) return fields[9];
  }
  return undefined;
};

const groupOf = async (pid: string): Promise<number | undefined> => {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name before the last ")" may hold anything, spaces and brackets too.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
  } catch {
    return undefined;
  }
};

const holds = async (pid: string, inode: string): Promise<boolean> => {
  try {
    const names = await readdir(`/proc/${pid}/fd`);
    const links = await Promise.all(
      names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => undefined)),
    );
    return links.includes(`socket:[${inode}]`);
  } catch {
    return false;
  }
};

/** Whether a process of the group `group` holds the end `remotePort` of the connection to our `localPort`. */
export const isPeerInGroup = async (
  localPort: number,
  remotePort: number,
  group: number,
): Promise<boolean> => {
  const inode = await inodeOf(remotePort, localPort);
  if (inode === undefined || inode === '0') return false;
  const pids = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name));
  for (const pid of pids) {
    if ((await groupOf(pid)) === group && (await holds(pid, inode))) return true;
  }
  return false;
};
