import { placeName } from './addresses.js';
import type { DetectionConfig } from './config.js';
import { countryCentres } from './countries.js';
import type { SessionPlace, TimelineCell } from './duckdb.js';
import type { Detection } from './run.js';
import type { Verdict } from './verdict.js';

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Everything in a report comes from a log that strangers write to. */
function escape(text: string | number): string {
  return String(text).replace(/[&<>"']/g, (character) => entities[character] as string);
}

const clock = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(11, 19);
const date = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('T', ' ').slice(0, 19);
const whole = (value: number): string => Math.round(value).toLocaleString('en-GB');

function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${size >= 100 || unit === 0 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** Networks drawn one a line; the rest share the last line. */
const drawnNetworks = 24;
const drawnSessions = 25;
const timelineWidth = 900;
const rowHeight = 13;
/** Networks at once at which a curve stands at its full height, at least. */
const crowd = 8;
const listedCountries = 8;

/** A colour that stays the same for a country. */
function colourOf(country: string | undefined): string {
  if (country === undefined) return 'hsl(220 8% 55%)';
  // Steps of the golden angle: countries that are neighbours in the alphabet are none in colour.
  const number = [...country].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 65, 0);
  return `hsl(${Math.round((number * 137.508) % 360)} 62% 48%)`;
}

/** Networks over time: a line each, filled where it fetched media, dark where the segment was fetched elsewhere too. */
function timeline(cells: readonly TimelineCell[], config: DetectionConfig): string {
  if (cells.length === 0) return '';
  const first = Math.min(...cells.map((cell) => cell.at));
  const last = Math.max(...cells.map((cell) => cell.at)) + config.momentSeconds;
  const media = new Map<string, number>();
  for (const cell of cells) media.set(cell.place, (media.get(cell.place) ?? 0) + cell.media);
  const order = [...media].sort((a, b) => b[1] - a[1]).map(([place]) => place);
  const shown = order.slice(0, drawnNetworks);
  const others = order.length - shown.length;
  const line = new Map(shown.map((place, i) => [place, i]));
  const scale = timelineWidth / Math.max(1, last - first);
  const left = 170;
  const lines = shown.length + (others > 0 ? 1 : 0);
  const overlapTop = lines * rowHeight + 10;
  const marks = cells.map((cell) => {
    const row = line.get(cell.place) ?? shown.length;
    const x = left + (cell.at - first) * scale;
    const width = Math.max(1, config.momentSeconds * scale - 0.4);
    const repeated = cell.media > 0 ? cell.repeated / cell.media : 0;
    const title = `${clock(cell.at)} ${placeName(cell.place)}${cell.country ? ` ${cell.country}` : ''}: ${cell.media} segments, ${cell.repeated} of them fetched elsewhere too`;
    return (
      `<rect x="${x.toFixed(1)}" y="${row * rowHeight + 1}" width="${width.toFixed(1)}" height="${rowHeight - 3}" fill="${colourOf(cell.country)}" ` +
      `opacity="${(0.4 + 0.6 * repeated).toFixed(2)}"><title>${escape(title)}</title></rect>`
    );
  });
  const names = shown.map((place, i) => {
    const country = cells.find((cell) => cell.place === place)?.country;
    return `<text x="${left - 8}" y="${i * rowHeight + 10}" class="network">${escape(placeName(place))}${country ? ` ${escape(country)}` : ''}</text>`;
  });
  if (others > 0)
    names.push(`<text x="${left - 8}" y="${shown.length * rowHeight + 10}" class="network">${others} more</text>`);
  return (
    `<div class="wide"><svg viewBox="0 0 ${left + timelineWidth} ${overlapTop + 52}" role="img" aria-label="Networks over time">` +
    `${names.join('')}${marks.join('')}${overlap(cells, config, { first, last, left, top: overlapTop, scale })}</svg></div>` +
    '<p class="quiet note">A line for each network, in the colour of its country: pale where it fetched media alone, full where others fetched the same.</p>'
  );
}

/** How many networks are active at once, as an area under the timeline. */
function overlap(
  cells: readonly TimelineCell[],
  config: DetectionConfig,
  at: { first: number; last: number; left: number; top: number; scale: number },
): string {
  const counts = new Map<number, number>();
  for (const cell of cells) counts.set(cell.at, (counts.get(cell.at) ?? 0) + 1);
  const top = Math.max(...counts.values());
  // One network alone must not look like a crowd.
  const full = Math.max(top, crowd);
  const height = 30;
  const points: string[] = [`${at.left},${at.top + height}`];
  for (let moment = at.first; moment < at.last; moment += config.momentSeconds) {
    const y = at.top + height - ((counts.get(moment) ?? 0) / full) * height;
    points.push(`${(at.left + (moment - at.first) * at.scale).toFixed(1)},${y.toFixed(1)}`);
    points.push(`${(at.left + (moment + config.momentSeconds - at.first) * at.scale).toFixed(1)},${y.toFixed(1)}`);
  }
  points.push(`${(at.left + (at.last - at.first) * at.scale).toFixed(1)},${at.top + height}`);
  return (
    `<polygon points="${points.join(' ')}" class="overlap"/>` +
    `<text x="${at.left - 8}" y="${at.top + 12}" class="network">at once: up to ${top}</text>` +
    `<text x="${at.left}" y="${at.top + height + 16}" class="axis">${clock(at.first)}</text>` +
    `<text x="${at.left + timelineWidth}" y="${at.top + height + 16}" class="axis end">${clock(at.last)} UTC</text>`
  );
}

/** Dots by country on a plain grid of degrees. */
function map(places: readonly SessionPlace[], size: { width: number; height: number }): string {
  const media = new Map<string, number>();
  for (const place of places)
    if (place.country !== undefined) media.set(place.country, (media.get(place.country) ?? 0) + place.media);
  const top = Math.max(1, ...media.values());
  const x = (longitude: number): number => ((longitude + 180) / 360) * size.width;
  const y = (latitude: number): number => ((78 - latitude) / 134) * size.height;
  const grid = [
    ...[-120, -60, 0, 60, 120].map(
      (longitude) => `<line x1="${x(longitude)}" x2="${x(longitude)}" y1="0" y2="${size.height}"/>`,
    ),
    ...[60, 30, 0, -30].map(
      (latitude) => `<line y1="${y(latitude).toFixed(1)}" y2="${y(latitude).toFixed(1)}" x1="0" x2="${size.width}"/>`,
    ),
  ];
  const land = Object.values(countryCentres).map(
    ([latitude, longitude]) => `<circle cx="${x(longitude).toFixed(1)}" cy="${y(latitude).toFixed(1)}" r="1.6"/>`,
  );
  const dots = [...media]
    .sort((a, b) => b[1] - a[1])
    .flatMap(([country, count]) => {
      const centre = countryCentres[country];
      if (centre === undefined) return [];
      const [cx, cy] = [x(centre[1]).toFixed(1), y(centre[0]).toFixed(1)];
      const radius = 6 + 8 * Math.sqrt(count / top);
      return [
        `<circle cx="${cx}" cy="${cy}" r="${radius.toFixed(1)}" fill="${colourOf(country)}" opacity="0.75"><title>${escape(country)}: ${whole(count)} segments</title></circle>` +
          `<text x="${cx}" y="${(Number(cy) + 3.5).toFixed(1)}" class="country">${escape(country)}</text>`,
      ];
    });
  const listed = [...media].sort((a, b) => b[1] - a[1]);
  const legend = listed
    .slice(0, listedCountries)
    .map(
      ([country, count]) =>
        `<span><i style="background:${colourOf(country)}"></i>${escape(country)} ${whole(count)}</span>`,
    );
  const others = listed.length - legend.length;
  return (
    `<div><svg viewBox="0 0 ${size.width} ${size.height}" class="map" role="img" aria-label="Countries">` +
    `<g class="grid">${grid.join('')}</g><g class="land">${land.join('')}</g>${dots.join('')}</svg>` +
    `<p class="quiet legend">Segments by country: ${legend.join(' ')}${others > 0 ? ` and ${others} more` : ''}</p></div>`
  );
}

function contributions(verdict: Verdict): string {
  const top = Math.max(1, ...verdict.contributions.map((contribution) => contribution.points));
  return verdict.contributions
    .map(
      (contribution) =>
        `<div class="signal"><span class="points">${contribution.points.toFixed(1)}</span>` +
        `<span class="bar"><i style="width:${((contribution.points / top) * 100).toFixed(0)}%"></i></span>` +
        `<span>${escape(contribution.reason)}</span></div>`,
    )
    .join('');
}

function addressTable(places: readonly SessionPlace[]): string {
  const rows = places
    .slice(0, 12)
    .map(
      (place) =>
        `<tr><td class="mono">${escape(place.address)}</td><td>${escape(place.country ?? '–')}</td><td>${place.asn === undefined ? '–' : `AS${place.asn}`}` +
        `${place.hosting ? ' <b class="tag">hosting</b>' : ''}</td><td class="number">${whole(place.media)}</td><td class="number">${bytes(place.bytes)}</td>` +
        `<td class="number">${clock(place.firstAt)}–${clock(place.lastAt)}</td></tr>`,
    );
  const more =
    places.length > rows.length
      ? `<tr><td colspan="6" class="quiet">and ${places.length - rows.length} more addresses</td></tr>`
      : '';
  return (
    '<div class="wide"><table><thead><tr><th>Address</th><th>Country</th><th>System</th><th class="number">Segments</th><th class="number">Bytes</th><th class="number">Seen</th></tr></thead>' +
    `<tbody>${rows.join('')}${more}</tbody></table></div>`
  );
}

const names = {
  remint: 'force a new token',
  revokeSession: 'revoke session',
  revokeSubject: 'cut off account',
  blockAddress: 'block address',
};

function section(verdict: Verdict, found: Detection, config: DetectionConfig): string {
  const places = found.places.get(verdict.session) ?? [];
  const planned = [
    ...found.plan.ready.map((entry) => ({ entry, held: undefined })),
    ...found.plan.held.map((entry) => ({ entry, held: entry.why })),
  ].filter(
    ({ entry }) =>
      entry.session === verdict.session ||
      (entry.action === 'revokeSubject' && verdict.subject !== undefined && entry.request.id === verdict.subject),
  );
  const acts = planned.map(
    ({ entry, held }) =>
      `<li>${names[entry.action]}${entry.action === 'blockAddress' ? ` <span class="mono">${escape(entry.request.id)}</span>` : ''}${held === undefined ? '' : ` <span class="quiet">waits: ${escape(held)}</span>`}</li>`,
  );
  return (
    `<section id="${escape(verdict.session)}"><header><h2 class="mono">${escape(verdict.session)}</h2>` +
    `<span class="score ${verdict.flagged ? 'flagged' : ''}">${verdict.score.toFixed(0)}</span></header>` +
    `<p class="quiet">${verdict.flagged ? `decided ${date(verdict.decidedAt as number)}` : 'watched'} · confidence ${verdict.confidence.toFixed(2)} · ` +
    `seen ${date(verdict.firstSeen)} to ${clock(verdict.lastSeen)} UTC · ${places.length} ${places.length === 1 ? 'address' : 'addresses'}</p>` +
    `<div class="columns"><div>${contributions(verdict)}${acts.length > 0 ? `<ul class="acts">${acts.join('')}</ul>` : ''}</div>${map(places, { width: 420, height: 190 })}</div>` +
    `${timeline(found.timelines.get(verdict.session) ?? [], config)}${addressTable(places)}</section>`
  );
}

const style = `
:root{color-scheme:light dark;--ink:#16202c;--quiet:#5c6b7a;--paper:#f5f6f8;--card:#fff;--line:#dfe4ea;--accent:#b3261e;--bar:#b9c3ce}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--quiet:#93a1b0;--paper:#10161d;--card:#182029;--line:#2a3541;--accent:#ff7a70;--bar:#3b4957}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:14px/1.5 system-ui,sans-serif}
main{max-width:1160px;margin:0 auto;padding:32px 20px 80px}h1{font-size:26px;margin:0 0 4px}h2{font-size:16px;margin:0;overflow-wrap:anywhere}
.quiet{color:var(--quiet)}.mono{font-family:ui-monospace,monospace;font-size:.94em}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:24px 0}
.figures div,section,.ranked{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.figures b{display:block;font-size:24px;line-height:1.2}section{margin-top:20px;padding:18px 20px}
header{display:flex;justify-content:space-between;gap:16px;align-items:center}
.score{font-size:22px;font-weight:700;color:var(--quiet)}.score.flagged{color:var(--accent)}
.columns{display:grid;grid-template-columns:minmax(0,1fr) 420px;gap:24px;align-items:start}@media(max-width:900px){.columns{grid-template-columns:1fr}}
.signal{display:grid;grid-template-columns:38px 90px 1fr;gap:10px;align-items:center;padding:2px 0}.points{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:var(--line);height:8px;border-radius:4px;overflow:hidden}.bar i{display:block;height:100%;background:var(--accent)}
svg{display:block;width:100%;height:auto;margin:14px 0 6px}.map{margin:0;background:var(--paper);border-radius:8px}
.grid line{stroke:var(--line)}.land circle{fill:var(--bar)}.country{font-size:9px;font-weight:700;text-anchor:middle;fill:#fff}
.network{font-size:10px;text-anchor:end;fill:var(--quiet);font-family:ui-monospace,monospace}.axis{font-size:10px;fill:var(--quiet)}.axis.end{text-anchor:end}
.wide,.ranked{overflow-x:auto}.wide svg{min-width:720px}.wide table,.ranked table{min-width:600px}.note{margin:0 0 4px;font-size:12px}
.legend{margin:6px 0 0;font-size:12px}.legend span{white-space:nowrap}.legend i{display:inline-block;width:9px;height:9px;border-radius:5px;margin:0 4px 0 8px}
.overlap{fill:var(--accent);opacity:.35}table{width:100%;border-collapse:collapse;margin-top:10px}
th{text-align:left;font-weight:600;color:var(--quiet)}th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--line)}.number{text-align:right;font-variant-numeric:tabular-nums}
.tag{background:var(--accent);color:var(--card);border-radius:4px;padding:0 5px;font-size:11px}.acts{margin:10px 0 0;padding-left:18px}a{color:inherit}`;

/**
 * A report that stands in one file: no script, nothing fetched, no token. Timelines show when each network fetched media,
 * and how much of it another network fetched too.
 */
export function htmlReport(found: Detection, config: DetectionConfig, about: { readonly madeAt: number }): string {
  const { reading, audience, verdicts, plan } = found;
  const flagged = verdicts.filter((verdict) => verdict.flagged);
  const shown = verdicts.slice(0, drawnSessions);
  const figure = (value: string, what: string): string => `<div><b>${value}</b>${escape(what)}</div>`;
  const ranked = verdicts.slice(0, 200).map((verdict, i) => {
    const named = `<span class="mono">${escape(verdict.session)}</span>`;
    return (
      `<tr><td class="number">${verdict.score.toFixed(0)}</td><td>${i < shown.length ? `<a href="#${escape(verdict.session)}">${named}</a>` : named}</td>` +
      `<td class="number">${verdict.decidedAt === undefined ? '' : clock(verdict.decidedAt)}</td><td>${escape(verdict.reasons.slice(0, 2).join('; '))}</td></tr>`
    );
  });
  const skipped = [...reading.skipped, ...reading.damaged].map(
    (file) => `<li class="mono">${escape(file.file)}: ${escape(file.why)}</li>`,
  );
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">' +
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>Portcullis: shared and re-streamed sessions</title><style>${style}</style></head><body><main>` +
    `<h1>Shared and re-streamed sessions</h1><p class="quiet">${date(audience.from)} to ${date(audience.until)} UTC · made ${date(about.madeAt)} UTC · threshold ${config.threshold}</p>` +
    `<div class="figures">${figure(whole(flagged.length), 'sessions flagged')}${figure(whole(verdicts.length - flagged.length), 'watched')}${figure(whole(audience.sessions), 'sessions seen')}` +
    `${figure(whole(reading.records), 'requests read')}${figure(whole(plan.ready.length), 'actions ready')}${figure(whole(plan.held.length), 'wait for approval')}` +
    `${figure(whole(reading.unreadable + reading.future), 'records passed over')}</div>` +
    `<div class="ranked"><table><thead><tr><th class="number">Score</th><th>Session</th><th class="number">Decided</th><th>Why</th></tr></thead><tbody>${ranked.join('')}</tbody></table></div>` +
    `${shown.map((verdict) => section(verdict, found, config)).join('')}` +
    `${skipped.length > 0 ? `<section><h2>Files passed over, or read in part</h2><ul>${skipped.join('')}</ul></section>` : ''}</main></body></html>\n`
  );
}
