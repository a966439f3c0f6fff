import os, signal, subprocess, time, sys, pathlib, re, shutil
import mailgen, popkeep, tap
from fixture import check_kept, scripted_account
from popkeep import Popkeep
from scripted import Server
import service as sv
from service import Service
from tap import case, check, equal, main, wait_until
MAIL = mailgen.mailbox('inj', 12, size=800)
class Inj(Service):
    def start(self, spec=None):
        env = self.keep.environment() | {'ASAN_OPTIONS': 'detect_leaks=0'}
        env.pop('NOTIFY_SOCKET', None)
        import threading
        self.lines=[]
        self.process = subprocess.Popen(['strace','-f','-qq','-o','/tmp/inj.trace','-e','trace='+self.sys,'-e','inject='+self.spec, sv.BINARY,'-c',str(self.keep.config)], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, args=(self.process,), daemon=True); self.reader.start()
        return self
SPECS = []
for call, errs, whens in (
  ('fdatasync', ('EIO','ENOSPC'), (1,2,3,4,5,6)), ('fsync', ('EIO',), (1,2,3,4)),
  ('pwrite64', ('ENOSPC','EIO'), (1,3,8,15,30,60)), ('write', ('ENOSPC',), (1,3,10,20)),
  ('ftruncate', ('EIO','ENOSPC'), (1,2,3)), ('fallocate', ('ENOSPC',), (1,2)),
  ('openat', ('EMFILE','ENFILE'), (40,80,120,160,200)), ('socket', ('EMFILE','ENOBUFS'), ('1+','2','3','4')),
  ('accept4', ('EMFILE','ENOMEM'), ('1','1+')), ('sendto', ('ENOBUFS','EPIPE'), ('1','2','5')),
  ('recvfrom', ('EIO','ECONNRESET'), ('1','3','6')), ('recvmsg',('ENOMEM',),('1','2')), ('epoll_ctl', ('ENOMEM',), ('1','2','3')),
  ('statfs', ('EIO',), ('1+',)), ('unlink', ('EACCES',), ('1','2')), ('rename', ('EIO',), ('1',)),
  ('fcntl', ('ENOLCK',), ('3','6','9','14','20')), ('clone3,clone', ('EAGAIN',), ('1','2','3','4')), ('bind', ('EADDRINUSE',), ('1',)), ('poll',('ENOMEM',),('2','5','9+')), ('epoll_wait,epoll_pwait',('EINTR',),('2+',))):
    for e in errs:
        for w in whens: SPECS.append((call, f'{call}:error={e}:when={w}'))
only = os.environ.get('ONLY')
@case
def inject(folder):
    for call, spec in SPECS:
        if only and only not in spec: continue
        f = folder / re.sub(r'\W','_',spec); f.mkdir()
        with Server(MAIL) as server:
            keep = scripted_account(f, server, interval='10s')
            s = Inj(keep, ready=False); s.sys, s.spec = call, spec
            s.start()
            t=time.time()
            def kept():
                try: return len(keep.digests()) == len(MAIL)
                except Exception: return False
            end = time.time()+4
            while time.time() < end and s.process.poll() is None:
                if server.sessions and any(x.ended=='quit' for x in server.sessions): break
                time.sleep(0.1)
            ended_by_itself = s.process.poll() is not None
            asked = b''
            if not ended_by_itself:
                try: asked = subprocess.run(keep.command('fetch','anna'), env=keep.environment(), capture_output=True, timeout=12).stderr
                except subprocess.TimeoutExpired: print('# HANG of fetch', spec, s.log, flush=True)
                kids = [int(x) for x in open(f'/proc/{s.process.pid}/task/{s.process.pid}/children').read().split()] if s.process.poll() is None else []
                for k in kids:
                    if 'popkeepd' in open(f'/proc/{k}/comm').read():
                        try: os.kill(k, signal.SIGTERM)
                        except OSError: pass
            try: code = s.process.wait(15)
            except subprocess.TimeoutExpired:
                print('# NO END', spec, s.log, flush=True); 
                for k in kids:
                    try: os.kill(k, signal.SIGKILL)
                    except OSError: pass
                code = s.process.wait(10)
            s.reader.join(2)
            last = [l for l in s.lines if 'WITHOUT TLS' not in l][-2:]
            bad = code < 0 or code in (popkeep.SANITIZER_EXIT, 134, 139) or 'Sanitizer' in s.log or 'runtime error' in s.log or 'Assert' in s.log
            print(('# BAD ' if bad else '# ') + spec, 'by itself' if ended_by_itself else '', code, round(time.time()-t,1), last if (bad or ended_by_itself) else '', flush=True)
            if bad: print(s.log)
            r = keep.run('fetch', code=None)
            try:
                check_kept(keep, MAIL); keep.verify()
            except AssertionError as e:
                print('# LOST', spec, e, r, flush=True)
            if 'quit' not in [x.ended for x in server.sessions]: print('# no quit', spec)
        shutil.rmtree(f)
main()
