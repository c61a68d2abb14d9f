import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { packageRoot } from '../../src/system/index.js';

const script = join(packageRoot, 'scripts', 'install.sh');
const install = (...args: string[]) => spawnSync('bash', [script, ...args], { encoding: 'utf8' });

/** A release as --pack makes it, with a stand-in for the program. */
const packRelease = (folder: string, version: string, machine?: string): string => {
  const release = join(folder, `release-${version}`);
  mkdirSync(join(release, 'dist', 'src', 'cli'), { recursive: true });
  writeFileSync(join(release, 'package.json'), JSON.stringify({ version }));
  writeFileSync(join(release, 'dist', 'src', 'cli', 'main.js'), '');
  writeFileSync(join(release, 'RELEASE'), machine ?? `${process.arch} ${process.versions.modules}\n`);
  spawnSync('cp', ['-r', join(packageRoot, 'systemd'), join(release, 'systemd')]);
  const tarball = join(folder, `${version}.tar.gz`);
  spawnSync('tar', ['-czf', tarball, '-C', release, '.']);
  return tarball;
};

t.test('install, upgrade twice, remove, purge below a staging root', async (t) => {
  const folder = t.testdir({ root: {} });
  const root = join(folder, 'root');
  const at = (...parts: string[]): string => join(root, ...parts);
  const first = install('--root', root, '--tarball', packRelease(folder, '0.1.0'));
  t.equal(first.status, 0, first.stderr);
  t.match(readlinkSync(at('opt/bitlane/current')), /^releases\/0\.1\.0-/);
  t.ok(existsSync(at('opt/bitlane/current/dist/src/cli/main.js')));
  t.match(
    readFileSync(at('etc/systemd/system/bitlane.service'), 'utf8'),
    /^ExecStart=\/\S*node \/opt\/bitlane\/current/m,
  );
  t.equal(statSync(at('etc/bitlane/credentials')).mode & 0o777, 0o700);
  t.ok(statSync(at('usr/local/bin/bitlane')).mode & 0o100);

  writeFileSync(at('etc/bitlane/bitlane.yaml'), 'device: mine\n');
  mkdirSync(at('var/lib/bitlane'), { recursive: true });
  writeFileSync(at('var/lib/bitlane/counts'), '7');
  for (const version of ['0.2.0', '0.3.0', '0.3.0']) {
    const upgrade = install('--root', root, '--tarball', packRelease(folder, version));
    t.equal(upgrade.status, 0, upgrade.stderr);
    t.match(readlinkSync(at('opt/bitlane/current')), `releases/${version}-`);
  }
  t.equal(readFileSync(at('etc/bitlane/bitlane.yaml'), 'utf8'), 'device: mine\n', 'settings are kept');
  t.equal(readdirSync(at('opt/bitlane/releases')).length, 2, 'the new release and the one before');

  const current = readlinkSync(at('opt/bitlane/current'));
  const foreign = install('--root', root, '--tarball', packRelease(folder, '0.4.0', 'mips 1\n'));
  t.equal(foreign.status, 1);
  t.match(foreign.stderr, 'another kind of machine');
  const absent = install('--root', root, '--tarball', join(folder, 'absent.tar.gz'));
  t.equal(absent.status, 2);
  t.match(
    absent.stderr,
    /^install\.sh: .*absent\.tar\.gz does not exist: --tarball takes a release made by --pack\n$/,
  );
  writeFileSync(join(folder, 'torn.tar.gz'), 'not a tarball');
  t.equal(install('--root', root, '--tarball', join(folder, 'torn.tar.gz')).status, 1);
  t.equal(readlinkSync(at('opt/bitlane/current')), current, 'a refused release changes nothing');
  t.equal(readdirSync(at('opt/bitlane/releases')).length, 2, 'and leaves nothing behind');

  t.equal(install('--root', root, '--remove').status, 0);
  t.notOk(existsSync(at('opt/bitlane')));
  t.notOk(existsSync(at('etc/systemd/system/bitlane.service')));
  t.ok(existsSync(at('var/lib/bitlane/counts')), 'state stays');
  t.equal(install('--root', root, '--purge').status, 0);
  t.notOk(existsSync(at('var/lib/bitlane')));
  t.notOk(existsSync(at('etc/bitlane')));
});

t.test('a dry run touches nothing; a bad option exits 2', async (t) => {
  const root = t.testdir({});
  t.equal(install('--root', root, '--dry-run').status, 0);
  t.same(readdirSync(root), []);
  t.equal(install('--frobnicate').status, 2);
  t.equal(install('--root').status, 2);
});

const shellcheck = spawnSync('shellcheck', ['--version']);
t.test(
  'shellcheck finds nothing in the scripts',
  { skip: shellcheck.error === undefined ? false : 'shellcheck is missing' },
  async (t) => {
    const scripts = readdirSync(join(packageRoot, 'scripts')).filter((name) => name.endsWith('.sh'));
    const result = spawnSync(
      'shellcheck',
      scripts.map((name) => join(packageRoot, 'scripts', name)),
      {
        encoding: 'utf8',
      },
    );
    t.equal(result.status, 0, result.stdout);
  },
);

t.test('the store goes back with the release before', async (t) => {
  const folder = t.testdir({ var: { lib: { bitlane: {} } } });
  const at = (name: string): string => join(folder, 'var', 'lib', 'bitlane', name);
  const [, part = ''] = /^(take_store_back\(\) \{[^]*?^\})/m.exec(readFileSync(script, 'utf8')) ?? [];
  const takeBack = (): void => {
    const { status, stderr } = spawnSync(
      'bash',
      [
        '-euo',
        'pipefail',
        '-c',
        `root=$1\n${part}\ntake_store_back "$2"`,
        'sh',
        folder,
        join(folder, 'before'),
      ],
      {
        encoding: 'utf8',
      },
    );
    t.equal(status, 0, stderr);
  };
  writeFileSync(at('bitlane.db.schema-1'), 'years ago');
  utimesSync(at('bitlane.db.schema-1'), 1, 1);
  writeFileSync(join(folder, 'before'), '');
  utimesSync(join(folder, 'before'), 1_000, 1_000);
  writeFileSync(at('bitlane.db'), 'as it is');
  takeBack();
  t.equal(readFileSync(at('bitlane.db'), 'utf8'), 'as it is', 'the newer release did not touch it');
  for (const [name, text] of [
    ['bitlane.db.schema-2', 'older'],
    ['bitlane.db', 'newer'],
    ['bitlane.db-wal', 'newer'],
  ] as const)
    writeFileSync(at(name), text);
  takeBack();
  t.equal(readFileSync(at('bitlane.db'), 'utf8'), 'older');
  t.notOk(existsSync(at('bitlane.db-wal')));
});
