// Colours and shapes that tell classes apart. Few share the circle of hues evenly; many go round it
// by the golden angle, in three lightnesses and five shapes, so that classes next to each other in
// order look different.

const FEW = 10;

export function colour(place, classes, none) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  if (none) return dark ? "#8a867d" : "#8f8b83";
  const hue = 255 + place * (classes <= FEW ? 360 / classes : 137.508);
  const light = classes <= FEW ? (dark ? 0.76 : 0.55) : (dark ? [0.76, 0.66, 0.85] : [0.56, 0.45, 0.66])[place % 3];
  return `oklch(${light} 0.14 ${hue % 360})`;
}

export function shape(path, place, x, y, r) {
  switch (place % 5) {
    case 0: path.moveTo(x + r, y); path.arc(x, y, r, 0, 7); break;
    case 1: path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8); break;
    case 2: path.moveTo(x, y - r * 1.25); path.lineTo(x + r * 1.15, y + r * 0.8); path.lineTo(x - r * 1.15, y + r * 0.8); path.closePath(); break;
    case 3: path.moveTo(x, y - r * 1.3); path.lineTo(x + r * 1.3, y); path.lineTo(x, y + r * 1.3); path.lineTo(x - r * 1.3, y); path.closePath(); break;
    default: path.moveTo(x, y + r * 1.25); path.lineTo(x + r * 1.15, y - r * 0.8); path.lineTo(x - r * 1.15, y - r * 0.8); path.closePath();
  }
}
