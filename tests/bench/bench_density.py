"""How small a sealed archive is, beside what others make of the same mail, and what sealing,
checking, rebuilding and reading cost. Prints figures, asserts none.

    bench_density.py [CORPUS…]         with POPKEEP, MEASURE and MEASURE_ARCHIVE in the environment

Each corpus (corpora.py; BENCH_MAIL=DIR is one more, a tree of files with a message each) is stored
by popkeep, borg (zstd,3), restic (compression auto), gzip and zstd for each file alone, and as one
tar under `zstd -19 --long=27`, which is what nobody can search or append to. A tool that is missing
is passed over visibly. BENCH_HOUSE=400: megabytes of made-up mail; BENCH_DIR as in bench.py;
BENCH_KEEP=1 leaves the archives there.

Bytes are those of files: of popkeep segments and ledger, since the databases are caches; of the
others the whole repository. CPU is that of the command and all that it started; MB is 10^6 bytes of
mail. The ledger, some 180 bytes of text a message whatever its size, weighs most where messages are
small: the table has both figures, and the ratio to popkeep is that with the ledger.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'integration'))
import bench
import corpora
import popkeep

READS = int(os.environ.get('BENCH_READS', '2000'))


class Run:
    """One command, measured."""

    def __init__(self, *command, folder, env=None, shell=False):
        report = folder / 'measured'
        words = ['/bin/bash', '-o', 'pipefail', '-c', command[0]] if shell else [shutil.which(command[0]) or command[0], *command[1:]]
        done = subprocess.run([bench.tool('measure'), str(report), *map(str, words)], stdin=subprocess.DEVNULL,
                              env=os.environ | (env or {}), capture_output=True)
        self.code = done.returncode
        self.text = (done.stdout + done.stderr)[-2000:].decode('utf-8', 'replace')
        self.taken = json.loads(report.read_text())

    @property
    def cpu(self):
        return self.taken['user_s'] + self.taken['system_s']

    @property
    def wall(self):
        return self.taken['wall_s']

    @property
    def peak(self):
        return self.taken['rss_kb'] / 1024


def checked(*command, **options):
    run = Run(*command, **options)
    if run.code != 0:
        sys.exit(f'{command}: exit {run.code}: {run.text}')
    return run


def files_below(*folders):
    return [path for folder in folders for path in sorted(folder.rglob('*')) if path.is_file()]


def size_below(*folders):
    return sum(path.stat().st_size for path in files_below(*folders))


# ---- The others -------------------------------------------------------------------------------

def with_borg(mail, folder):
    env = {'BORG_BASE_DIR': str(folder / 'home'), 'BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK': 'yes'}
    repo = folder / 'repo'
    checked('borg', 'init', '-e', 'none', repo, folder=folder, env=env)
    return checked('borg', 'create', '--compression', 'zstd,3', f'{repo}::mail', mail, folder=folder, env=env), size_below(repo)


def with_restic(mail, folder):
    env = {'RESTIC_PASSWORD': 'bench', 'RESTIC_REPOSITORY': str(folder / 'repo')}
    checked('restic', '--no-cache', 'init', folder=folder, env=env)
    run = checked('restic', '--no-cache', '--compression', 'auto', 'backup', '--quiet', mail, folder=folder, env=env)
    return run, size_below(folder / 'repo')


def with_gzip(mail, folder):
    shutil.copytree(mail, folder / 'mail')
    return checked('gzip', '-r', folder / 'mail', folder=folder), size_below(folder / 'mail')


def with_zstd(mail, folder):
    run = checked('zstd', '-3', '-q', '-r', '--output-dir-mirror', folder / 'out', mail, folder=folder)
    return run, size_below(folder / 'out')


def with_tar(mail, folder):
    run = checked(f"tar -C '{mail}' --sort=name -cf - . | zstd -q -19 --long=27 -o '{folder}/mail.tar.zst'", folder=folder, shell=True)
    return run, (folder / 'mail.tar.zst').stat().st_size


OTHERS = [('borg zstd,3', 'borg', with_borg), ('restic auto', 'restic', with_restic),
          ('gzip, each file', 'gzip', with_gzip), ('zstd -3, each file', 'zstd', with_zstd),
          ('tar, zstd -19 --long=27', 'zstd', with_tar)]


# ---- popkeep ----------------------------------------------------------------------------------

class Archive:
    def __init__(self, mail, folder):
        self.folder, self.path = folder, folder / 'archive'
        paths = ''.join(f'{path}\n' for path in files_below(mail))
        done = subprocess.run([bench.tool('measure_archive'), 'fill', str(self.path)], input=paths.encode(), capture_output=True)
        if done.returncode != 0:
            sys.exit(f'filling: {done.stderr[-2000:]}')
        self.filled = json.loads(done.stdout)
        self.mail = self.filled['bytes']

    def size(self):
        return size_below(self.path / 'segments', self.path / 'ledger')

    def run(self, *words):
        return Run(popkeep.BINARY, '-C', self.path, *words, folder=self.folder)

    def speed(self, run):
        return self.mail / 1e6 / max(run.cpu, 1e-6)

    def read(self):
        done = subprocess.run([bench.tool('measure_archive'), 'read', str(self.path), str(READS)], capture_output=True)
        if done.returncode != 0:
            return f'failed: {done.stderr[-500:].decode()}'
        taken = json.loads(done.stdout)
        said = []
        for cache in ('empty', 'kept'):
            p50, p99, worst = taken[cache + '_cpu_ms']
            said.append(f"{cache} cache: p50 {p50:.2f}, p99 {p99:.2f}, worst {worst:.2f} CPU ms "
                        f"(clock: p99 {taken[cache + '_ms'][1]:.2f})")
        return '; '.join(said)

    def report(self, name, *words):
        run = self.run(*words)
        if run.code != 0:
            print(f'  {name:<26} exit {run.code}: {run.text.strip()[-300:]}')
        else:
            print(f'  {name:<26} {self.speed(run):7.0f} MB a CPU second, {run.wall:.2f} s, peak {run.peak:.0f} MB')
        sys.stdout.flush()
        return run


def measure_popkeep(mail, folder):
    """[(name, bytes, seconds, CPU seconds)]"""
    archive = Archive(mail, folder)
    rows = [('popkeep, open', archive.size(), archive.filled['wall_s'], archive.filled['cpu_s'])]
    print(f"  {'read one, open':<26} {archive.read()}", flush=True)
    sealed = archive.report('seal', 'seal')
    if sealed.code == 0:
        rows.insert(0, ('popkeep, sealed', archive.size(), sealed.wall, sealed.cpu))
        rows.insert(1, ('  without the ledger', size_below(archive.path / 'segments'), sealed.wall, sealed.cpu))
        print(f"  {'read one, sealed':<26} {archive.read()}", flush=True)
    archive.report('verify', 'verify')
    archive.report('verify --full', 'verify', '--full')
    archive.report('rebuild', 'rebuild')
    print(f"  {'databases':<26} {size_below(archive.path / 'search') + sum(p.stat().st_size for p in archive.path.glob('*.db'))} bytes")
    return rows, archive.mail


# ---- Comparing --------------------------------------------------------------------------------

def compare(name, mail):
    work = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-density-', dir=bench.bench_folder()))
    try:
        print(f'{name}: {len(files_below(mail))} messages, {size_below(mail) / 1e6:.1f} MB', flush=True)
        (work / 'popkeep').mkdir()
        rows, total = measure_popkeep(mail, work / 'popkeep')
        for title, tool, function in OTHERS:
            if not shutil.which(tool):
                print(f'  # SKIP {title}: {tool} is not installed (make bench installs it)')
                continue
            folder = work / tool / title.replace(' ', '-').replace(',', '')
            folder.mkdir(parents=True)
            run, stored = function(mail, folder)
            rows.append((title, stored, run.wall, run.cpu))
            if not os.environ.get('BENCH_KEEP'):
                shutil.rmtree(folder)
        ours = rows[0][1]
        print(f"\n  {'':<26} {'bytes':>12} {'ratio':>7} {'to popkeep':>11} {'s':>8} {'CPU s':>8}")
        for title, stored, wall, cpu in rows:
            print(f"  {title:<26} {stored:>12} {total / stored:>7.2f} {stored / ours:>11.3f} {wall:>8.2f} "
                  f'{cpu:>8.2f}')
        print(flush=True)
    finally:
        if os.environ.get('BENCH_KEEP'):
            print(f'  left in {work}')
        else:
            shutil.rmtree(work, ignore_errors=True)


def main():
    wanted = sys.argv[1:]
    os.environ.pop('POPKEEP_CONFIG', None)
    folder = bench.bench_folder()
    for name, mail in corpora.prepare(folder, int(os.environ.get('BENCH_HOUSE', '400'))):
        if not wanted or name in wanted:
            compare(name, mail)


if __name__ == '__main__':
    main()
