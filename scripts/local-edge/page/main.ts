import { claimLines } from './claims.js';
import { tamperedToken, TokenCarrier, type VendedSession } from './carrier.js';
import { createHlsPlayer, probe, type EdgeAnswer, type Player } from './players.js';
import { explain, statusClass } from './reasons.js';

const carrier = new TokenCarrier();
const countries = ['DE', 'FR', 'JP', 'BR'];
const answersShown = 60;

let player: Player | undefined;
let playerName: 'hls' | 'dash' = 'hls';
let refusal: EdgeAnswer | undefined;
let probing: ReturnType<typeof setTimeout> | undefined;
let passed = 0;
let refusedCount = 0;
let issuedAt = 0;
let renewals = 0;
let starts = 0;
let takes = 0;

function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}`);
  return found as T;
}
const video = element<HTMLVideoElement>('video');
const settings = element<HTMLFormElement>('settings');

function setting(name: string): string {
  return String(new FormData(settings).get(name) ?? '');
}

let lastVend: Promise<unknown> = Promise.resolve();

/** One after the other: of two answers under way, the later one's cookie must be the one that stays. */
function vend(extra: Readonly<Record<string, unknown>>): Promise<VendedSession> {
  const mine = lastVend.then(() => askForToken(extra));
  lastVend = mine.catch(() => undefined);
  return mine;
}

async function askForToken(extra: Readonly<Record<string, unknown>>): Promise<VendedSession> {
  const expiresIn = Number(setting('expiresIn'));
  const by = setting('renewal');
  const response = await fetch('vend', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      content: setting('content'),
      protocol: playerName,
      format: setting('format'),
      placement: setting('placement'),
      ...(setting('start') === '' ? {} : { start: setting('start') }),
      expiresIn,
      countries: ['US'],
      ...(by === '' ? {} : { renewal: { by, extendBy: expiresIn, within: Math.ceil(expiresIn / 2) } }),
      // The one name that dash.js knows.
      ...(playerName === 'dash' ? { headerName: 'Common-Access-Token' } : {}),
      ...extra,
    }),
  });
  const answer = (await response.json()) as VendedSession & { message?: string };
  if (!response.ok) throw new Error(answer.message ?? `The vending service answered ${response.status}`);
  return answer;
}

// --- what is shown -------------------------------------------------------------------------------------------------

function showToken(): void {
  const { vended, tricks } = carrier;
  if (!vended) return;
  const raw = element('raw-token');
  if (tricks.tampered) {
    const { token, at } = tamperedToken(vended.token);
    const mark = document.createElement('mark');
    mark.textContent = token.charAt(at);
    raw.replaceChildren(token.slice(0, at), mark, token.slice(at + 1));
  } else raw.textContent = vended.token;
  element('claims').replaceChildren(
    ...claimLines(vended.claims).map(({ name, value, meaning }) => {
      const row = document.createElement('tr');
      const head = document.createElement('th');
      head.scope = 'row';
      head.textContent = name;
      const cell = document.createElement('td');
      const text = document.createElement('b');
      text.textContent = value;
      const means = document.createElement('span');
      means.textContent = meaning;
      cell.append(text, means);
      row.append(head, cell);
      return row;
    }),
  );
  element('revoke-command').textContent = `npx portcullis revoke session ${vended.session} --local`;
  element('unrevoke-command').textContent = `npx portcullis unrevoke session ${vended.session} --local`;
}

function showCountdown(): void {
  const { vended } = carrier;
  const label = element('countdown');
  if (!vended?.expiresAt) return;
  const end = Date.parse(vended.expiresAt);
  const left = Math.ceil((end - Date.now()) / 1000);
  const share = Math.max(0, Math.min(1, (end - Date.now()) / Math.max(1, end - issuedAt)));
  element('countdown-bar').style.setProperty('--share', share.toFixed(3));
  label.dataset['state'] = left <= 0 ? 'over' : left <= 10 ? 'soon' : 'good';
  const minutes = Math.floor(left / 60);
  if (left <= 0 && !refusal && renewsByCookie()) {
    // The cookie is out of a page's sight; that it still plays tells that there is one.
    label.dataset['state'] = 'good';
    label.textContent = 'renewed in a cookie';
    return;
  }
  label.textContent =
    left <= 0
      ? 'expired'
      : minutes > 0
        ? `${minutes} min ${String(left % 60).padStart(2, '0')} s left`
        : `${left} s left`;
}

function renewsByCookie(): boolean {
  const { type } = (carrier.vended?.claims['catr'] ?? {}) as { type?: string };
  return type === 'cookie' || (type === 'automatic' && setting('placement') === 'cookie');
}

function showFigures(): void {
  element('position').textContent = `${video.currentTime.toFixed(1)} s`;
  element('picture').textContent = video.videoWidth > 0 ? `${video.videoWidth} × ${video.videoHeight}` : '–';
  element('viewer').textContent = carrier.tricks.country ?? 'US (San Francisco)';
  element('allowed').textContent = String(passed);
  element('refused').textContent = String(refusedCount);
  element('renewals').textContent = renewals === 0 ? '' : ` · ${renewals} renewed`;
  const state = refusal ? 'refused' : !video.paused && video.readyState >= 3 ? 'playing' : 'idle';
  element('health').dataset['state'] = state;
  element('health-text').textContent =
    state === 'refused' ? 'refused' : state === 'playing' ? 'playing' : video.paused ? 'paused' : 'loading';
}

function showTricks(): void {
  const { tricks } = carrier;
  element('tamper').setAttribute('aria-pressed', String(tricks.tampered));
  element('strip').setAttribute('aria-pressed', String(tricks.stripped));
  const moved = element('move');
  moved.setAttribute('aria-pressed', String(tricks.country !== undefined));
  const title = moved.querySelector('b');
  if (title)
    title.textContent = tricks.country === undefined ? 'Move to another country' : `Back home from ${tricks.country}`;
  // A page cannot touch an HttpOnly cookie.
  const byCookie = carrier.vended !== undefined && setting('placement') === 'cookie';
  for (const id of ['tamper', 'strip']) element<HTMLButtonElement>(id).disabled = byCookie;
}

function showAnswer(answer: EdgeAnswer): void {
  const row = document.createElement('tr');
  const cell = (text: string, className = ''): HTMLTableCellElement => {
    const made = document.createElement('td');
    made.textContent = text;
    made.className = className;
    return made;
  };
  const status = cell('');
  const badge = document.createElement('span');
  badge.className = 'status';
  badge.dataset['class'] = statusClass(answer.status);
  badge.textContent = answer.status === 0 ? 'none' : String(answer.status);
  status.append(badge);
  row.append(
    cell(new Date(answer.at).toLocaleTimeString([], { hour12: false })),
    status,
    cell(answer.reason ?? ''),
    cell(carrier.shown(answer.url), 'path'),
    cell(answer.country ?? 'US'),
    cell(`${Math.round(answer.milliseconds)} ms`, 'number'),
  );
  const body = element('answers');
  body.prepend(row);
  while (body.children.length > answersShown) body.lastElementChild?.remove();
}

function showNote(text: string): void {
  const note = element('note');
  note.hidden = text === '';
  note.textContent = text;
}

const tones = {
  passed: '--good',
  unauthorised: '--warn',
  refused: '--bad',
  blackout: '--violet',
  fault: '--link',
} as const;

function showBanner(): void {
  const banner = element('banner');
  banner.hidden = refusal === undefined;
  if (!refusal) return;
  const { title, text } = explain(refusal.reason, refusal.status);
  banner.style.setProperty('--tone', `var(${tones[statusClass(refusal.status)]})`);
  element('banner-code').textContent = refusal.status === 0 ? 'no answer' : String(refusal.status);
  element('banner-reason').textContent = refusal.reason ?? '';
  element('banner-title').textContent = refusal.status === 0 ? 'The edge does not answer' : title;
  element('banner-text').textContent = refusal.status === 0 ? 'Is it still running?' : text;
}

// --- what happens --------------------------------------------------------------------------------------------------

function onAnswer(answer: EdgeAnswer): void {
  showAnswer(answer);
  if (answer.renewed !== undefined && !carrier.knows(answer.renewed)) void adopt(answer.renewed);
  if (answer.status >= 200 && answer.status < 400) {
    passed += 1;
    return;
  }
  // A segment that has left the live window is no refusal.
  if (answer.status === 404) return;
  refusedCount += 1;
  const before = refusal;
  refusal = answer;
  showBanner();
  if (!before) {
    video.pause();
    player?.stop();
    keepAsking();
  }
}

/** Goes on with a token that the edge renewed. */
async function adopt(token: string): Promise<void> {
  const response = await fetch('decode', { method: 'POST', body: JSON.stringify({ token }) });
  if (!response.ok) return;
  const about = (await response.json()) as Pick<VendedSession, 'claims' | 'expiresAt'>;
  const { starting } = carrier;
  if (!carrier.adopt(token, about)) return;
  issuedAt = Date.now();
  if (!starting) renewals += 1;
  showToken();
}

/** While refused, asks every two seconds whether the gate has opened again. */
function keepAsking(): void {
  clearTimeout(probing);
  probing = setTimeout(() => {
    void probe(carrier, onAnswer).then((open) => {
      if (!refusal) return;
      if (open) resume();
      else keepAsking();
    });
  }, 2000);
}

function resume(): void {
  clearTimeout(probing);
  refusal = undefined;
  showBanner();
  player?.start();
}

/** After something changed for the better: asks at once instead of at the next turn. */
async function askAgain(): Promise<void> {
  if (!refusal) return;
  clearTimeout(probing);
  if (await probe(carrier, onAnswer)) resume();
  else keepAsking();
}

/** Gets a token and carries it from now on; false, with the reason on the page, where none is to be had. */
async function take(extra: Readonly<Record<string, unknown>> = {}): Promise<boolean> {
  takes += 1;
  const take = takes;
  let vended: VendedSession;
  try {
    vended = await vend(extra);
  } catch (error) {
    if (take === takes) showNote(`No token to be had. ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
  // A later choice has its own token under way.
  if (take !== takes) return false;
  showNote('');
  issuedAt = Date.now();
  renewals = 0;
  carrier.use(vended);
  showTricks();
  showToken();
  showCountdown();
  return true;
}

async function makePlayer(name: 'hls' | 'dash'): Promise<(video: HTMLVideoElement) => Player> {
  const create = name === 'hls' ? createHlsPlayer : (await import('./dash-player.js')).createDashPlayer;
  return (element) => create(element, carrier, onAnswer);
}

async function startOver(): Promise<void> {
  clearTimeout(probing);
  refusal = undefined;
  showBanner();
  Object.assign(carrier.tricks, { tampered: false, stripped: false, country: undefined });
  player?.destroy();
  player = undefined;
  starts += 1;
  const start = starts;
  const [make, taken] = await Promise.all([makePlayer(playerName), take()]);
  // Whoever chose something else meanwhile has started anew.
  if (!taken || start !== starts) return;
  player = make(video);
  player.start();
}

async function toggle(change: () => void): Promise<void> {
  change();
  showTricks();
  showToken();
  await askAgain();
}

function wire(id: string, act: () => Promise<void>): void {
  element(id).addEventListener('click', () => void act());
}

wire('tamper', () => toggle(() => (carrier.tricks.tampered = !carrier.tricks.tampered)));
wire('strip', () => toggle(() => (carrier.tricks.stripped = !carrier.tricks.stripped)));
wire('move', () =>
  toggle(() => {
    const { country } = carrier.tricks;
    carrier.tricks.country =
      country === undefined ? countries[Math.floor(Math.random() * countries.length)] : undefined;
  }),
);
wire('expire', async () => {
  const session = carrier.vended?.session;
  await take({ expiresIn: 10, renewal: undefined, ...(session === undefined ? {} : { session }) });
});
wire('renew', async () => {
  const session = carrier.vended?.session;
  if (await take(session === undefined ? {} : { session })) await askAgain();
});
wire('restart', startOver);
settings.addEventListener('change', () => void startOver());
settings.addEventListener('submit', (event) => event.preventDefault());

for (const button of document.querySelectorAll<HTMLButtonElement>('[data-copy]')) {
  button.addEventListener('click', () => {
    void navigator.clipboard.writeText(element(button.dataset['copy'] ?? '').textContent ?? '').then(() => {
      button.textContent = 'Copied';
      setTimeout(() => (button.textContent = 'Copy'), 1500);
    });
  });
}

const tabs = [...document.querySelectorAll<HTMLButtonElement>('[role=tab]')];
function choosePlayer(tab: HTMLButtonElement): void {
  for (const other of tabs) {
    other.setAttribute('aria-selected', String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
  }
  element('screen').setAttribute('aria-labelledby', tab.id);
  playerName = tab.dataset['player'] === 'dash' ? 'dash' : 'hls';
  void startOver();
}
for (const [i, tab] of tabs.entries()) {
  tab.addEventListener('click', () => choosePlayer(tab));
  tab.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    const next = tabs[(i + (event.key === 'ArrowRight' ? 1 : tabs.length - 1)) % tabs.length];
    next?.focus();
    next?.click();
  });
}

/** Takes from the choices what the functions are not configured for. */
async function limitChoices(): Promise<void> {
  const response = await fetch('config.json');
  const { placements, formats, renewal, start } = (await response.json()) as {
    placements: readonly string[];
    formats: readonly string[];
    renewal: boolean;
    start?: string;
  };
  const keep = (name: string, values: readonly string[]): void => {
    for (const option of settings.querySelectorAll<HTMLOptionElement>(`select[name=${name}] option`)) {
      if (!values.includes(option.value)) option.remove();
    }
  };
  keep('placement', placements);
  keep('format', formats);
  if (!renewal) keep('renewal', ['']);
  element('renewal-setting').hidden = !renewal;
  element('no-renewal').hidden = renewal;
  element('start-setting').hidden = start === undefined;
  carrier.start = start ?? '';
}

element('edge').textContent = location.host;
setInterval(() => {
  showCountdown();
  showFigures();
}, 250);
void limitChoices().then(startOver);
