const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/**
 * Python's strftime in the C locale, local time, for the directives that chat templates use:
 * %a %A %b %B %d %e %H %I %j %m %M %p %S %y %Y %%, and the glibc form %-d that leaves padding out.
 * Other directives stay as written.
 */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([aAbBdeHIjmMpSyY%])/g, (_, dash: string, directive: string) => {
    const padded = (value: number, width: number, fill = '0') =>
      dash === '' ? String(value).padStart(width, fill) : String(value);
    const day = DAYS[date.getDay()] as string;
    const month = MONTHS[date.getMonth()] as string;
    switch (directive) {
      case 'a':
        return day.slice(0, 3);
      case 'A':
        return day;
      case 'b':
        return month.slice(0, 3);
      case 'B':
        return month;
      case 'd':
        return padded(date.getDate(), 2);
      case 'e':
        return padded(date.getDate(), 2, ' ');
      case 'H':
        return padded(date.getHours(), 2);
      case 'I':
        return padded(date.getHours() % 12 || 12, 2);
      case 'j':
        return padded(dayOfYear(date), 3);
      case 'm':
        return padded(date.getMonth() + 1, 2);
      case 'M':
        return padded(date.getMinutes(), 2);
      case 'p':
        return date.getHours() < 12 ? 'AM' : 'PM';
      case 'S':
        return padded(date.getSeconds(), 2);
      case 'y':
        return padded(date.getFullYear() % 100, 2);
      case 'Y':
        return padded(date.getFullYear(), 4);
      default:
        return '%';
    }
  });
}

function dayOfYear(date: Date): number {
  // as UTC, so that a change to summer time in between is no missing hour
  const today = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (today - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000;
}
