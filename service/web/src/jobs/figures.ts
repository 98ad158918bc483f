/** Figures of an artifact's details, with their names and units. */

import { formatBytes, formatCount, formatDuration, formatFigure, humanize } from "../lib/format";

export interface Figure {
  name: string;
  /** With its unit. */
  value: string;
}

type Kind = "percent" | "nats" | "count" | "plain";

/** Names that the words of a field do not give by themselves. */
const KNOWN: Readonly<Record<string, readonly [name: string, kind: Kind]>> = {
  neighbors_kept_fraction: ["of the nearest neighbors kept", "percent"],
  distance_correlation: ["rank correlation of distances", "plain"],
  label_accuracy_fraction: ["label accuracy of the nearest neighbors", "percent"],
  majority_fraction: ["right by guessing the commonest label", "percent"],
  majority_rate: ["right by guessing the commonest label", "percent"],
  explained_variance_fraction: ["of the variance kept by PCA", "percent"],
  kl_divergence: ["KL divergence", "nats"],
  final_kl: ["KL divergence", "nats"],
  loss: ["loss", "nats"],
  validation_loss: ["validation loss", "nats"],
  test_loss: ["test loss", "nats"],
  log_loss: ["log loss", "nats"],
  dimensions: ["dimensions of the features", "count"],
  pairs: ["pairs of examples compared", "count"],
};
const ACRONYMS: readonly (readonly [RegExp, string])[] = [
  [/^bleu (\d)$/, "BLEU-$1"],
  [/^cider$/, "CIDEr"],
  [/^rouge l$/, "ROUGE-L"],
];
/** What says how a figure was found, or is said elsewhere. */
const LEFT_OUT: ReadonlySet<string> = new Set(["map", "remarks", "card", "k"]);
/** Groups whose name says nothing that the figure's own does not. */
const UNNAMED: ReadonlySet<string> = new Set(["quality", "summary", "scores"]);

function percent(value: number): string {
  return `${Number((100 * value).toPrecision(3))} %`;
}

/** The unit that the end of a field's name says. */
function withUnit(field: string, group: string, value: number): string {
  const known = KNOWN[field]?.[1];
  if (known === "percent" || /_(fraction|accuracy|rate|share)$|^accuracy$/.test(field)) return percent(value);
  if (known === "nats") return `${formatFigure(value)} nats`;
  if (/_seconds$/.test(field) || /_seconds$/.test(group)) return formatDuration(value);
  if (/_bytes$/.test(field)) return formatBytes(value);
  if (/_px$/.test(field)) return `${formatCount(value)} px`;
  if (/_degrees$/.test(field)) return `${formatFigure(value)}°`;
  return formatFigure(value);
}

function nameOf(field: string, group: string): string {
  const known = KNOWN[field]?.[0];
  const plain = humanize(field.replace(/_(seconds|bytes|px|degrees|fraction)$/, ""));
  const acronym = ACRONYMS.find(([pattern]) => pattern.test(plain));
  const name = known ?? (acronym ? plain.replace(...acronym) : plain);
  return group === "" || UNNAMED.has(group) ? name : `${humanize(group.replace(/_seconds$/, ""))}: ${name}`;
}

/** Numbers of a manifest's details, those of its groups too; lists are left out. */
export function figures(details: Record<string, unknown>, group = ""): Figure[] {
  return Object.entries(details).flatMap(([field, value]): Figure[] => {
    if (LEFT_OUT.has(field) || Array.isArray(value)) return [];
    if (typeof value === "number" && Number.isFinite(value))
      return [{ name: nameOf(field, group), value: withUnit(field, group, value) }];
    if (value && typeof value === "object") return figures(value as Record<string, unknown>, field);
    return [];
  });
}
